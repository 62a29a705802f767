// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

// cancelDeal
// ├── when unfunded: operator or payee close it for good, after the deposit deadline too
// │   └── anybody else, the payer included: it should revert
// ├── when funded: the payee any time, the operator undisputed and in time: everything held goes to the payer
// │   ├── after a partial release: the rest
// │   └── anybody else: it should revert
// └── when cancelled or settled: it should revert
// refundPart: as cancelDeal of a funded deal, for a part
// reclaim: as claim, when refund is the default
// returnPayment
// ├── by the payee, once settled, up to what was released, from its own tokens straight to the payer
// └── when not settled, by anybody else, or beyond what was released: it should revert
contract RefundTest is EscrowTest {
    function test_Unfunded_ClosesForGoodByOperatorOrPayee() public {
        address[2] memory closers = [operator, payee];
        for (uint256 i; i < 2; i++) {
            Terms memory terms = usualTerms();
            terms.ref += i;
            expectEvent();
            emit IEscrow.DealCancelled(escrow.dealId(terms), state(0, 0, Status.Cancelled));
            vm.prank(closers[i]);
            escrow.cancelDeal(terms);
            vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Cancelled, Status.None));
            vm.prank(payer);
            escrow.deposit(terms);
        }
    }

    function test_Unfunded_ClosesAfterTheDepositDeadline() public {
        Terms memory terms = usualTerms();
        vm.warp(terms.resolutionDeadline + 1);
        vm.prank(operator);
        escrow.cancelDeal(terms);
        assertDeal(terms, 0, 0, Status.Cancelled);
    }

    function test_RevertWhen_AnybodyElseCloses() public {
        address[3] memory others = [payer, arbiter, stranger];
        for (uint256 i; i < others.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], payee, operator));
            vm.prank(others[i]);
            escrow.cancelDeal(usualTerms());
        }
    }

    function test_Funded_RefundsThePayer() public {
        uint256 before = usdc.balanceOf(payer);
        Terms memory terms = funded();
        expectEvent();
        emit IEscrow.DealCancelled(escrow.dealId(terms), state(0, AMOUNT, Status.Settled));
        vm.prank(operator);
        escrow.cancelDeal(terms);
        vm.assertEq(usdc.balanceOf(payer), before, "payer");
        vm.assertEq(escrow.creditOf(address(usdc), feeRecipient), 0, "no fee");
    }

    function test_Funded_ThePayeeMayInADisputeAndAfterEveryDeadline() public {
        Terms memory terms = disputed();
        vm.warp(terms.resolutionDeadline + 1);
        vm.prank(payee);
        escrow.refundPart(terms, 1);
        assertDeal(terms, 0, 1, Status.Disputed);
        vm.prank(payee);
        escrow.cancelDeal(terms);
        assertDeal(terms, 0, AMOUNT, Status.Settled);
    }

    function test_Funded_AfterAPartialReleaseRefundsTheRest() public {
        Terms memory terms = funded();
        vm.prank(operator);
        escrow.releasePart(terms, AMOUNT / 2);
        uint256 before = usdc.balanceOf(payer);
        vm.prank(operator);
        escrow.cancelDeal(terms);
        vm.assertEq(usdc.balanceOf(payer), before + AMOUNT / 2, "payer");
        assertDeal(terms, AMOUNT / 2, AMOUNT / 2, Status.Settled);
    }

    function test_RevertWhen_TheOperatorIsLateOrMeetsADispute() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline + 1);
        bytes memory late = abi.encodeWithSelector(
            IEscrow.AfterDeadline.selector,
            terms.settlementDeadline + 1,
            terms.settlementDeadline
        );
        vm.expectRevert(late);
        vm.prank(operator);
        escrow.cancelDeal(terms);
        vm.expectRevert(late);
        vm.prank(operator);
        escrow.refundPart(terms, 1);
        vm.warp(terms.settlementDeadline);
        vm.prank(payer);
        escrow.openDispute(terms, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Disputed, Status.Funded));
        vm.prank(operator);
        escrow.cancelDeal(terms);
    }

    function test_RevertWhen_AnybodyElseRefunds() public {
        Terms memory terms = funded();
        address[3] memory others = [payer, arbiter, stranger];
        for (uint256 i; i < others.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], payee, operator));
            vm.prank(others[i]);
            escrow.cancelDeal(terms);
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], payee, operator));
            vm.prank(others[i]);
            escrow.refundPart(terms, 1);
        }
    }

    function test_RevertWhen_CancelledTwice() public {
        Terms memory terms = usualTerms();
        vm.prank(operator);
        escrow.cancelDeal(terms);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Cancelled, Status.Funded));
        vm.prank(operator);
        escrow.cancelDeal(terms);
    }

    function test_Part_EndsTheDealWithTheLastUnit() public {
        Terms memory terms = funded();
        expectEvent();
        emit IEscrow.Refunded(escrow.dealId(terms), state(0, 40, Status.Funded));
        vm.prank(operator);
        escrow.refundPart(terms, 40);
        vm.prank(payee);
        escrow.refundPart(terms, AMOUNT - 40);
        assertDeal(terms, 0, AMOUNT, Status.Settled);
    }

    function test_RevertWhen_APartIsZeroOrAboveWhatIsHeld() public {
        Terms memory terms = funded();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, 0, AMOUNT));
        vm.prank(payee);
        escrow.refundPart(terms, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, AMOUNT + 1, AMOUNT));
        vm.prank(payee);
        escrow.refundPart(terms, AMOUNT + 1);
    }

    function test_Reclaim_ByAnybodyAfterTheDeadline() public {
        Terms memory terms = usualTerms();
        terms.defaultOutcome = Outcome.Refund;
        uint256 before = usdc.balanceOf(payer);
        fundedAs(terms);
        vm.warp(terms.settlementDeadline);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.BeforeDeadline.selector, terms.settlementDeadline, terms.settlementDeadline)
        );
        escrow.reclaim(terms);
        vm.warp(terms.settlementDeadline + 1);
        expectEvent();
        emit IEscrow.Reclaimed(escrow.dealId(terms), state(0, AMOUNT, Status.Settled));
        vm.prank(stranger);
        escrow.reclaim(terms);
        vm.assertEq(usdc.balanceOf(payer), before, "payer");
    }

    function test_Reclaim_OfADisputedDealAfterTheArbitersTime() public {
        Terms memory terms = usualTerms();
        terms.defaultOutcome = Outcome.Refund;
        fundedAs(terms);
        vm.prank(payee);
        escrow.openDispute(terms, 0);
        vm.warp(terms.resolutionDeadline);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.BeforeDeadline.selector, terms.resolutionDeadline, terms.resolutionDeadline)
        );
        escrow.reclaim(terms);
        vm.warp(terms.resolutionDeadline + 1);
        vm.prank(stranger);
        escrow.reclaim(terms);
        assertDeal(terms, 0, AMOUNT, Status.Settled);
    }

    function test_RevertWhen_ReclaimedAgainstTheDefault() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongOutcome.selector, Outcome.Release, Outcome.Refund));
        escrow.reclaim(terms);
    }

    function test_Return_GoesStraightToThePayerUpToWhatWasReleased() public {
        Terms memory terms = funded();
        vm.prank(payee);
        escrow.refundPart(terms, 30);
        vm.prank(payer);
        escrow.release(terms);
        uint256 released = AMOUNT - 30;
        fund(payee);
        uint256 before = usdc.balanceOf(payer);
        expectEvent();
        emit IEscrow.PaymentReturned(escrow.dealId(terms), state(released, 130, Status.Settled));
        vm.prank(payee);
        escrow.returnPayment(terms, 100);
        vm.assertEq(usdc.balanceOf(payer), before + 100, "payer");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, released - 99, released - 100));
        vm.prank(payee);
        escrow.returnPayment(terms, released - 99);
        vm.prank(payee);
        escrow.returnPayment(terms, released - 100);
        assertDeal(terms, released, AMOUNT, Status.Settled);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, 1, 0));
        vm.prank(payee);
        escrow.returnPayment(terms, 1);
    }

    function test_RevertWhen_ReturningBeforeTheEndOrOfARefundedDeal() public {
        Terms memory terms = funded();
        fund(payee);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Funded, Status.Settled));
        vm.prank(payee);
        escrow.returnPayment(terms, 1);
        vm.prank(payee);
        escrow.cancelDeal(terms);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, 1, 0));
        vm.prank(payee);
        escrow.returnPayment(terms, 1);
    }

    function test_RevertWhen_AnybodyElseReturns() public {
        Terms memory terms = funded();
        vm.prank(payer);
        escrow.release(terms);
        address[3] memory others = [payer, operator, stranger];
        for (uint256 i; i < others.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], payee, address(0)));
            vm.prank(others[i]);
            escrow.returnPayment(terms, 1);
        }
    }
}
