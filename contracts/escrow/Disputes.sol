// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, DealState, IEscrow, Status, Terms} from "../interfaces/IEscrow.sol";
import {DealStates} from "../libraries/DealStates.sol";
import {Signatures} from "../libraries/Signatures.sol";
import {TermsHash} from "../libraries/TermsHash.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// What happens when payer and payee disagree: one freezes the deal, then the arbiter splits it, or both do.
abstract contract Disputes is EscrowBase {
    using DealStates for DealState;
    using TermsHash for Terms;

    bytes32 private constant SETTLEMENT_TYPE = keccak256(
        "Settlement(bytes32 deal,uint256 released,uint256 refunded,uint256 toPayee,uint256 toPayer,uint256 deadline)"
    );

    /// @inheritdoc IEscrow
    function openDispute(Terms calldata terms, bytes32 evidence) external unentered {
        DealId id = terms.hash();
        DealState state = _state(id);
        if (state.status() != Status.Funded) revert WrongStatus(state.status(), Status.Funded);
        if (terms.arbiter == address(0)) revert NoArbiter();
        if (block.timestamp > terms.settlementDeadline) revert AfterDeadline(block.timestamp, terms.settlementDeadline);
        state = state.withStatus(Status.Disputed);
        if (msg.sender == terms.payee) state = state.withPayeeDisputing();
        else if (msg.sender != terms.payer) revert NotAllowed(msg.sender, terms.payer, terms.payee);
        _setState(id, state);
        emit DisputeOpened(id, state, evidence);
    }

    /// @inheritdoc IEscrow
    function withdrawDispute(Terms calldata terms) external unentered {
        DealId id = terms.hash();
        DealState state = _state(id);
        if (state.status() != Status.Disputed) revert WrongStatus(state.status(), Status.Disputed);
        address opener = state.payeeDisputes() ? terms.payee : terms.payer;
        if (msg.sender != opener) revert NotAllowed(msg.sender, opener, address(0));
        state = state.withStatus(Status.Funded);
        _setState(id, state);
        emit DisputeWithdrawn(id, state);
    }

    /// @inheritdoc IEscrow
    function resolve(Terms calldata terms, uint256 toPayee) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        if (state.status() != Status.Disputed) revert WrongStatus(state.status(), Status.Disputed);
        if (msg.sender != terms.arbiter) revert NotAllowed(msg.sender, terms.arbiter, address(0));
        if (block.timestamp > terms.resolutionDeadline) revert AfterDeadline(block.timestamp, terms.resolutionDeadline);
        uint256 toPayer = _rest(terms, state, toPayee);
        DealState split = _split(id, state, toPayee, toPayer);
        emit Resolved(id, split);
        _payBoth(terms, state, toPayee, toPayer);
    }

    /// @inheritdoc IEscrow
    function settle(
        Terms calldata terms,
        uint256 toPayee,
        uint256 deadline,
        bytes calldata payerSignature,
        bytes calldata payeeSignature
    ) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        if (!_isHeld(state.status())) revert WrongStatus(state.status(), Status.Funded);
        if (block.timestamp > deadline) revert AfterDeadline(block.timestamp, deadline);
        uint256 toPayer = _rest(terms, state, toPayee);
        bytes32 digest = _settlementDigest(id, state, toPayee, toPayer, deadline);
        if (msg.sender != terms.payer) Signatures.requireSigned(terms.payer, digest, payerSignature);
        if (msg.sender != terms.payee) Signatures.requireSigned(terms.payee, digest, payeeSignature);
        DealState split = _split(id, state, toPayee, toPayer);
        emit DealSettled(id, split);
        _payBoth(terms, state, toPayee, toPayer);
    }

    /// What both sign: the split, and what was settled before it, so that a partial release in between voids it.
    function _settlementDigest(
        DealId id,
        DealState state,
        uint256 toPayee,
        uint256 toPayer,
        uint256 deadline
    ) private view returns (bytes32) {
        return
            Signatures.digest(
                keccak256(
                    abi.encode(SETTLEMENT_TYPE, id, state.released(), state.refunded(), toPayee, toPayer, deadline)
                )
            );
    }

    /// What is left of the held money for the payer.
    function _rest(Terms calldata terms, DealState state, uint256 toPayee) private pure returns (uint256) {
        uint256 held = _held(terms, state);
        if (toPayee > held) revert AmountOutOfRange(toPayee, held);
        unchecked {
            return held - toPayee;
        }
    }

    function _split(DealId id, DealState state, uint256 toPayee, uint256 toPayer) private returns (DealState split) {
        split = state.addReleased(toPayee).addRefunded(toPayer).withStatus(Status.Settled);
        _setState(id, split);
    }

    function _payBoth(Terms calldata terms, DealState before, uint256 toPayee, uint256 toPayer) private {
        if (toPayee != 0) _payPayee(terms, before.released(), toPayee);
        _pushOrCredit(terms.token, terms.payer, toPayer);
    }
}
