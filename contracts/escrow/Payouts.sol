// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Deal, DealId, DealState, IEscrow, Status, Terms} from "../interfaces/IEscrow.sol";
import {DealStates} from "../libraries/DealStates.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";
import {TermsHash} from "../libraries/TermsHash.sol";
import {TokenTransfers} from "../libraries/TokenTransfers.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// The ways held money leaves a deal without a dispute, and the credits it may leave to.
abstract contract Payouts is EscrowBase {
    using DealStates for DealState;
    using TermsHash for Terms;

    /// @inheritdoc IEscrow
    function release(Terms calldata terms) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        _requireMayRelease(terms, state.status());
        uint256 released = state.released();
        uint256 held = _held(terms, state);
        state = DealStates.pack(released + held, state.refunded(), Status.Settled);
        _setState(id, state);
        emit Released(id, state);
        _payPayee(terms, released, held);
    }

    /// @inheritdoc IEscrow
    function cancelDeal(Terms calldata terms) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        Status status = state.status();
        if (status == Status.None) {
            if (msg.sender != terms.payee && !_isOperator(terms.operator)) {
                revert NotAllowed(msg.sender, terms.payee, terms.operator);
            }
            state = DealStates.pack(0, 0, Status.Cancelled);
            _setState(id, state);
            emit DealCancelled(id, state);
            return;
        }
        _requireMayRefund(terms, status);
        uint256 held = _held(terms, state);
        state = DealStates.pack(state.released(), state.refunded() + held, Status.Settled);
        _setState(id, state);
        emit DealCancelled(id, state);
        _pushOrCredit(terms.token, terms.payer, held);
    }

    /// @inheritdoc IEscrow
    function withdraw(address token, address account) external guarded {
        mapping(address => uint256) storage credits = EscrowStorage.store().credits[token];
        uint256 amount = credits[account];
        if (amount == 0) revert NothingToWithdraw(token, account);
        credits[account] = 0;
        emit Withdrawn(token, account, amount);
        if (!TokenTransfers.push(token, account, amount)) {
            revert TransferFailed(token, address(this), account, amount);
        }
    }

    /// @inheritdoc IEscrow
    function dealId(Terms calldata terms) external view returns (DealId) {
        return terms.hash();
    }

    /// @inheritdoc IEscrow
    function getDeal(DealId id) external view returns (Deal memory) {
        DealState state = _state(id);
        return Deal({released: state.released(), refunded: state.refunded(), status: state.status()});
    }

    /// @inheritdoc IEscrow
    function creditOf(address token, address account) external view returns (uint256) {
        return EscrowStorage.store().credits[token][account];
    }

    /// The payer while money is held; the operator while undisputed, up to the settlement deadline.
    function _requireMayRelease(Terms calldata terms, Status status) private view {
        _requireHeld(status);
        if (msg.sender == terms.payer) return;
        _requireOperates(terms, status, terms.payer);
    }

    /// The payee while money is held; the operator while undisputed, up to the settlement deadline.
    function _requireMayRefund(Terms calldata terms, Status status) private view {
        _requireHeld(status);
        if (msg.sender == terms.payee) return;
        _requireOperates(terms, status, terms.payee);
    }

    function _requireOperates(Terms calldata terms, Status status, address other) private view {
        if (!_isOperator(terms.operator)) revert NotAllowed(msg.sender, other, terms.operator);
        if (status != Status.Funded) revert WrongStatus(status, Status.Funded);
        if (block.timestamp > terms.settlementDeadline) revert AfterDeadline(block.timestamp, terms.settlementDeadline);
    }
}
