// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, DealState, IEscrow, Status, Terms} from "../interfaces/IEscrow.sol";
import {DealStates} from "../libraries/DealStates.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";
import {Guard} from "../libraries/Guard.sol";
import {TokenTransfers} from "../libraries/TokenTransfers.sol";

/// What all verbs share: the guard, who is an operator, and the only two ways in which held money leaves a deal.
abstract contract EscrowBase is IEscrow {
    using DealStates for DealState;

    /// The most entries of a batch: ten million gas when every one is the dearest.
    uint256 internal constant MAX_BATCH = 100;

    modifier guarded() {
        Guard.enter();
        _;
        Guard.exit();
    }

    /// For verbs that call nobody: they may not run inside another, and need not keep others out.
    modifier unentered() {
        Guard.requireLeft();
        _;
    }

    function _state(DealId id) internal view returns (DealState) {
        return EscrowStorage.store().deals[id];
    }

    function _setState(DealId id, DealState state) internal {
        EscrowStorage.store().deals[id] = state;
    }

    /// Whether the caller acts for the operator: itself, or one of its delegates.
    function _isOperator(address operator) internal view returns (bool) {
        return msg.sender == operator || EscrowStorage.store().delegates[operator][msg.sender];
    }

    /// What of a deal is still held. Only true while it is Funded or Disputed.
    function _held(Terms calldata terms, DealState state) internal pure returns (uint256) {
        unchecked {
            // released + refunded never exceed the amount while money is held
            return terms.amount - state.released() - state.refunded();
        }
    }

    function _isHeld(Status status) internal pure returns (bool) {
        return status == Status.Funded || status == Status.Disputed;
    }

    function _requireBatch(uint256 size) internal pure {
        if (size == 0 || size > MAX_BATCH) revert BatchSize(size, MAX_BATCH);
    }

    /// The fee on `amount` more after `released`: what was taken so far is always floor(fee * released / amount).
    /// Products stay below 2^240.
    function _feeOn(Terms calldata terms, uint256 released, uint256 amount) internal pure returns (uint256) {
        uint256 fee = terms.fee;
        if (fee == 0) return 0;
        uint256 whole = terms.amount;
        unchecked {
            uint256 before = released == 0 ? 0 : (fee * released) / whole;
            return (fee * (released + amount)) / whole - before;
        }
    }

    /// Pays `gross` to the payee less the fee that accrues on it, which goes to the fee recipient's credit.
    function _payPayee(Terms calldata terms, uint256 releasedBefore, uint256 gross) internal {
        uint256 fee = _feeOn(terms, releasedBefore, gross);
        address token = terms.token;
        if (fee != 0) EscrowStorage.store().credits[token][terms.feeRecipient] += fee;
        unchecked {
            // at most one unit a call is rounded towards the fee, never more than gross
            _pushOrCredit(token, terms.payee, gross - fee);
        }
    }

    /// Pays `amount` to `to`; what the token refuses with all the gas it may have becomes a credit.
    function _pushOrCredit(address token, address to, uint256 amount) internal {
        if (amount == 0 || TokenTransfers.push(token, to, amount)) return;
        EscrowStorage.store().credits[token][to] += amount;
        emit Credited(token, to, amount);
    }
}
