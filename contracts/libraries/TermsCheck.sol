// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow, Terms} from "../interfaces/IEscrow.sol";
import {DealStates} from "./DealStates.sol";

/// The range checks that terms pass once, on deposit: afterwards a known id vouches for them.
library TermsCheck {
    /// Between deposit and settlement deadline, and between settlement and resolution deadline, in seconds.
    uint256 internal constant MINIMUM_GAP = 1 hours;
    /// The last deadline is at most this far from now, in seconds.
    uint256 internal constant MAXIMUM_HORIZON = 3650 days;

    /// Reverts with the first reason against the terms.
    /// @param payer The payer that the deal will have, the caller filled in for an offer.
    function check(Terms calldata terms, address payer) internal view {
        if (!passes(terms, payer)) explain(terms, payer);
    }

    /// Whether nothing is wrong, without saying what: every check of `explain` in one branch-free sum (saves about 900
    /// gas a deposit). `explain` is the plain-Solidity twin, and has the last word when this says no.
    function passes(Terms calldata terms, address payer) internal view returns (bool) {
        uint256 maxAmount = DealStates.MAX_AMOUNT;
        bool bad;
        assembly ("memory-safe") {
            let operator := calldataload(add(terms, 32))
            let payee := calldataload(add(terms, 64))
            let token := calldataload(add(terms, 128))
            let feeRecipient := calldataload(add(terms, 224))
            let arbiter := calldataload(add(terms, 256))
            // words: addresses have 160 bits, the outcome is 0 or 1; the terms' own payer may be zero, `payer` is clean
            let words := or(or(operator, payee), or(or(token, feeRecipient), or(arbiter, calldataload(add(terms, 96)))))
            bad := or(shr(160, words), gt(calldataload(add(terms, 384)), 1))
            // roles: operator and payee are somebody, and nobody is who he must not be
            bad := or(bad, or(iszero(operator), iszero(payee)))
            bad := or(bad, or(eq(payee, operator), eq(payee, payer)))
            bad := or(bad, or(eq(payee, token), eq(payee, address())))
            bad := or(bad, or(eq(payer, token), eq(payer, address())))
            bad := or(bad, or(eq(arbiter, payer), eq(arbiter, payee)))
            // amounts: 1 .. max (zero wraps to the top), fee at most the amount, its recipient somebody else than us
            let amount := calldataload(add(terms, 160))
            let fee := calldataload(add(terms, 192))
            bad := or(bad, or(gt(sub(amount, 1), sub(maxAmount, 1)), gt(fee, amount)))
            bad := or(bad, or(eq(feeRecipient, address()), gt(iszero(feeRecipient), iszero(fee))))
            // deadlines: not over, in order and apart, not too far; the sums can't wrap unless another check fails
            let depositBy := calldataload(add(terms, 288))
            let settleBy := calldataload(add(terms, 320))
            let resolveBy := calldataload(add(terms, 352))
            bad := or(bad, or(gt(timestamp(), depositBy), gt(resolveBy, add(timestamp(), MAXIMUM_HORIZON))))
            bad := or(bad, or(gt(settleBy, resolveBy), gt(add(settleBy, MINIMUM_GAP), resolveBy)))
            bad := or(bad, or(gt(depositBy, settleBy), gt(add(depositBy, MINIMUM_GAP), settleBy)))
        }
        return !bad;
    }

    /// The same checks one by one. Reverts with the first that fails.
    function explain(Terms calldata terms, address payer) internal view {
        checkWords(terms);
        checkRoles(terms, payer);
        checkAmounts(terms);
        checkDeadlines(terms);
    }

    /// Reverts if an address or the outcome has bits beyond its type: one deal would have many ids.
    function checkWords(Terms calldata terms) private pure {
        uint256 addresses;
        uint256 outcome;
        assembly ("memory-safe") {
            // operator, payee, payer, token, feeRecipient and arbiter are words 1..4, 7 and 8; the outcome is word 12
            addresses := or(calldataload(add(terms, 32)), calldataload(add(terms, 64)))
            addresses := or(addresses, or(calldataload(add(terms, 96)), calldataload(add(terms, 128))))
            addresses := or(addresses, or(calldataload(add(terms, 224)), calldataload(add(terms, 256))))
            outcome := calldataload(add(terms, 384))
        }
        if (addresses > type(uint160).max) revert IEscrow.WordOutOfRange(addresses, type(uint160).max);
        if (outcome > 1) revert IEscrow.WordOutOfRange(outcome, 1);
    }

    function checkRoles(Terms calldata terms, address payer) private view {
        address payee = terms.payee;
        address operator = terms.operator;
        address token = terms.token;
        address arbiter = terms.arbiter;
        if (operator == address(0)) revert IEscrow.OperatorInvalid(operator);
        if (payee == address(0)) revert IEscrow.PayeeInvalid(payee, address(0));
        if (payee == operator) revert IEscrow.PayeeInvalid(payee, operator);
        if (payee == payer) revert IEscrow.PayeeInvalid(payee, payer);
        if (payee == token) revert IEscrow.PayeeInvalid(payee, token);
        if (payee == address(this)) revert IEscrow.PayeeInvalid(payee, address(this));
        if (payer == token) revert IEscrow.PayerInvalid(payer, token);
        if (payer == address(this)) revert IEscrow.PayerInvalid(payer, address(this));
        if (arbiter == payer || arbiter == payee) revert IEscrow.ArbiterInvalid(arbiter, arbiter);
    }

    function checkAmounts(Terms calldata terms) private view {
        uint256 amount = terms.amount;
        uint256 fee = terms.fee;
        address feeRecipient = terms.feeRecipient;
        if (amount == 0 || amount > DealStates.MAX_AMOUNT) {
            revert IEscrow.AmountOutOfRange(amount, DealStates.MAX_AMOUNT);
        }
        if (fee > amount) revert IEscrow.FeeOutOfRange(fee, amount);
        if (fee != 0 && feeRecipient == address(0)) revert IEscrow.FeeRecipientInvalid(feeRecipient, fee);
        if (feeRecipient == address(this)) revert IEscrow.FeeRecipientInvalid(feeRecipient, fee);
    }

    function checkDeadlines(Terms calldata terms) private view {
        uint256 depositBy = terms.depositDeadline;
        uint256 settleBy = terms.settlementDeadline;
        uint256 resolveBy = terms.resolutionDeadline;
        if (block.timestamp > depositBy) revert IEscrow.DepositAfterDeadline(block.timestamp, depositBy);
        uint256 latest = block.timestamp + MAXIMUM_HORIZON;
        if (resolveBy > latest) revert IEscrow.DeadlineTooFar(resolveBy, latest);
        // Nothing below can overflow: going backwards, each deadline turns out smaller than one already bounded.
        unchecked {
            if (settleBy > resolveBy || resolveBy - settleBy < MINIMUM_GAP) {
                revert IEscrow.DeadlineGap(settleBy, resolveBy, MINIMUM_GAP);
            }
            if (depositBy > settleBy || settleBy - depositBy < MINIMUM_GAP) {
                revert IEscrow.DeadlineGap(depositBy, settleBy, MINIMUM_GAP);
            }
        }
    }
}
