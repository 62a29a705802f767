// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, DealState, IEscrow, Outcome, Status, Terms} from "../interfaces/IEscrow.sol";
import {DealStates} from "../libraries/DealStates.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";
import {TermsHash} from "../libraries/TermsHash.sol";
import {TokenTransfers} from "../libraries/TokenTransfers.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// The ways held money leaves a deal without an arbiter: decided by a party or the operator, or by the clock.
/// Each checks who and when, writes the new state, tells the log, and only then pays.
abstract contract Payouts is EscrowBase {
    using DealStates for DealState;
    using TermsHash for Terms;

    /// What neighbours in a batch with the same token, payee and fee recipient are still to be paid.
    struct Bundle {
        address token;
        address payee;
        address feeRecipient;
        uint256 net;
        uint256 fees;
    }

    /// @inheritdoc IEscrow
    function release(Terms calldata terms) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        _requireMay(terms, state, terms.payer);
        uint256 held = _held(terms, state);
        _release(terms, id, state, held, held);
    }

    /// @inheritdoc IEscrow
    function releasePart(Terms calldata terms, uint256 amount) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        _requireMay(terms, state, terms.payer);
        uint256 held = _held(terms, state);
        _requirePart(amount, held);
        _release(terms, id, state, amount, held);
    }

    /// @inheritdoc IEscrow
    function releaseMany(Terms[] calldata list) external guarded {
        _requireBatch(list.length);
        Bundle memory bundle;
        for (uint256 i; i < list.length; ++i) {
            Terms calldata terms = list[i];
            DealId id = terms.hash();
            DealState state = _state(id);
            bytes4 reason = _whyNot(terms, state.status(), terms.payer);
            if (reason != 0) {
                emit Skipped(id, reason);
                continue;
            }
            uint256 released = state.released();
            uint256 held = _held(terms, state);
            state = state.addReleased(held).withStatus(Status.Settled);
            _setState(id, state);
            emit Released(id, state);
            _bundle(bundle, terms, held, _feeOn(terms, released, held));
        }
        _payBundle(bundle);
    }

    /// @inheritdoc IEscrow
    function cancelDeal(Terms calldata terms) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        if (state.status() == Status.None) {
            if (!_mayClose(terms)) revert NotAllowed(msg.sender, terms.payee, terms.operator);
            _close(id);
        } else {
            _requireMay(terms, state, terms.payee);
            _cancel(terms, id, state);
        }
    }

    /// @inheritdoc IEscrow
    function cancelMany(Terms[] calldata list) external guarded {
        _requireBatch(list.length);
        for (uint256 i; i < list.length; ++i) {
            Terms calldata terms = list[i];
            DealId id = terms.hash();
            DealState state = _state(id);
            if (state.status() == Status.None) {
                if (_mayClose(terms)) _close(id);
                else emit Skipped(id, NotAllowed.selector);
            } else {
                bytes4 reason = _whyNot(terms, state.status(), terms.payee);
                if (reason != 0) emit Skipped(id, reason);
                else _cancel(terms, id, state);
            }
        }
    }

    /// @inheritdoc IEscrow
    function refundPart(Terms calldata terms, uint256 amount) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        _requireMay(terms, state, terms.payee);
        uint256 held = _held(terms, state);
        _requirePart(amount, held);
        state = state.addRefunded(amount);
        if (amount == held) state = state.withStatus(Status.Settled);
        _setState(id, state);
        emit Refunded(id, state);
        _pushOrCredit(terms.token, terms.payer, amount);
    }

    /// @inheritdoc IEscrow
    function claim(Terms calldata terms) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        _requireDefault(terms, state.status(), Outcome.Release);
        uint256 released = state.released();
        uint256 held = _held(terms, state);
        state = state.addReleased(held).withStatus(Status.Settled);
        _setState(id, state);
        emit Claimed(id, state);
        _payPayee(terms, released, held);
    }

    /// @inheritdoc IEscrow
    function reclaim(Terms calldata terms) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        _requireDefault(terms, state.status(), Outcome.Refund);
        uint256 held = _held(terms, state);
        state = state.addRefunded(held).withStatus(Status.Settled);
        _setState(id, state);
        emit Reclaimed(id, state);
        _pushOrCredit(terms.token, terms.payer, held);
    }

    /// @inheritdoc IEscrow
    function returnPayment(Terms calldata terms, uint256 amount) external guarded {
        DealId id = terms.hash();
        DealState state = _state(id);
        if (state.status() != Status.Settled) revert WrongStatus(state.status(), Status.Settled);
        address payee = terms.payee;
        if (msg.sender != payee) revert NotAllowed(msg.sender, payee, address(0));
        unchecked {
            // In a settled deal released + refunded = amount, so this is what was released less what was given back.
            _requirePart(amount, terms.amount - state.refunded());
        }
        state = state.addRefunded(amount);
        _setState(id, state);
        emit PaymentReturned(id, state);
        TokenTransfers.take(terms.token, payee, terms.payer, amount);
    }

    /// Adds a released deal to the bundle, which is paid first when the next deal has another token, payee or fee
    /// recipient. Paying neighbours at once saves about 3,000 gas a deal.
    function _bundle(Bundle memory bundle, Terms calldata terms, uint256 gross, uint256 fee) private {
        if (bundle.token != terms.token || bundle.payee != terms.payee || bundle.feeRecipient != terms.feeRecipient) {
            _payBundle(bundle);
            bundle.token = terms.token;
            bundle.payee = terms.payee;
            bundle.feeRecipient = terms.feeRecipient;
            bundle.net = 0;
            bundle.fees = 0;
        }
        unchecked {
            bundle.net += gross - fee; // at most MAX_BATCH * 2^120
            bundle.fees += fee;
        }
    }

    function _payBundle(Bundle memory bundle) private {
        if (bundle.fees != 0) EscrowStorage.store().credits[bundle.token][bundle.feeRecipient] += bundle.fees;
        _pushOrCredit(bundle.token, bundle.payee, bundle.net);
    }

    function _release(Terms calldata terms, DealId id, DealState state, uint256 amount, uint256 held) private {
        uint256 released = state.released();
        if (amount == held) state = state.withStatus(Status.Settled);
        state = state.addReleased(amount);
        _setState(id, state);
        emit Released(id, state);
        _payPayee(terms, released, amount);
    }

    function _cancel(Terms calldata terms, DealId id, DealState state) private {
        uint256 held = _held(terms, state);
        state = state.addRefunded(held).withStatus(Status.Settled);
        _setState(id, state);
        emit DealCancelled(id, state);
        _pushOrCredit(terms.token, terms.payer, held);
    }

    function _close(DealId id) private {
        DealState state = DealStates.pack(0, 0, Status.Cancelled);
        _setState(id, state);
        emit DealCancelled(id, state);
    }

    /// Whether the caller may close terms that were never deposited on.
    function _mayClose(Terms calldata terms) private view returns (bool) {
        return msg.sender == terms.payee || _isOperator(terms.operator);
    }

    function _requirePart(uint256 amount, uint256 held) private pure {
        if (amount == 0 || amount > held) revert AmountOutOfRange(amount, held);
    }

    /// Why the caller may not move held money now: `conceding` (the payer for a release, the payee for a refund) may as
    /// long as any is held, the operator while undisputed and up to the settlement deadline.
    /// @return The selector of the error to revert with, zero when the caller may.
    function _whyNot(Terms calldata terms, Status status, address conceding) private view returns (bytes4) {
        if (!_isHeld(status)) return WrongStatus.selector;
        if (msg.sender == conceding) return 0;
        if (!_isOperator(terms.operator)) return NotAllowed.selector;
        if (status != Status.Funded) return WrongStatus.selector;
        if (block.timestamp > terms.settlementDeadline) return AfterDeadline.selector;
        return 0;
    }

    function _requireMay(Terms calldata terms, DealState state, address conceding) private view {
        bytes4 reason = _whyNot(terms, state.status(), conceding);
        if (reason == 0) return;
        if (reason == WrongStatus.selector) revert WrongStatus(state.status(), Status.Funded);
        if (reason == NotAllowed.selector) revert NotAllowed(msg.sender, conceding, terms.operator);
        revert AfterDeadline(block.timestamp, terms.settlementDeadline);
    }

    /// Reverts unless the time for decisions is over and the terms provide `outcome`.
    function _requireDefault(Terms calldata terms, Status status, Outcome outcome) private view {
        if (!_isHeld(status)) revert WrongStatus(status, Status.Funded);
        if (terms.defaultOutcome != outcome) revert WrongOutcome(terms.defaultOutcome, outcome);
        uint256 deadline = status == Status.Disputed ? terms.resolutionDeadline : terms.settlementDeadline;
        if (block.timestamp <= deadline) revert BeforeDeadline(block.timestamp, deadline);
    }
}
