// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {IDelegates} from "../../contracts/interfaces/IDelegates.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

// release, releasePart
// ├── by the payer: any time while money is held, in a dispute too, after every deadline
// ├── by the operator: funded, up to the settlement deadline; its delegate the same, until dropped
// ├── by anybody else, the payee included: it should revert
// ├── when nothing is held: it should revert
// ├── when a part is zero or above what is held: it should revert
// └── it should pay the payee less the fee, credit the fee, emit the state
// claim
// ├── after the settlement deadline, by anybody, when release is the default
// ├── after the resolution deadline, when disputed
// └── up to the deadline, or when refund is the default: it should revert
// fee
// └── after any slices and refunds in between: floor(fee * released / amount)
contract ReleaseTest is EscrowTest {
    function test_ByThePayer_PaysThePayeeLessTheFee() public {
        Terms memory terms = funded();
        expectEvent();
        emit IEscrow.Released(escrow.dealId(terms), state(AMOUNT, 0, Status.Settled));
        vm.prank(payer);
        escrow.release(terms);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "payee");
        vm.assertEq(escrow.creditOf(address(usdc), feeRecipient), FEE, "fee");
        vm.assertEq(usdc.balanceOf(diamond), FEE, "left");
        assertDeal(terms, AMOUNT, 0, Status.Settled);
    }

    function test_ByThePayer_InADisputeAndAfterEveryDeadline() public {
        Terms memory terms = disputed();
        vm.warp(terms.resolutionDeadline + 1);
        vm.prank(payer);
        escrow.releasePart(terms, 1);
        assertDeal(terms, 1, 0, Status.Disputed);
        vm.prank(payer);
        escrow.release(terms);
        assertDeal(terms, AMOUNT, 0, Status.Settled);
    }

    function test_ByTheOperator_InItsLastSecond() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline);
        vm.prank(operator);
        escrow.release(terms);
        assertDeal(terms, AMOUNT, 0, Status.Settled);
    }

    function test_RevertWhen_TheOperatorIsASecondLate() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEscrow.AfterDeadline.selector,
                terms.settlementDeadline + 1,
                terms.settlementDeadline
            )
        );
        vm.prank(operator);
        escrow.release(terms);
    }

    function test_RevertWhen_TheOperatorMeetsADispute() public {
        Terms memory terms = disputed();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Disputed, Status.Funded));
        vm.prank(operator);
        escrow.release(terms);
    }

    function test_ByADelegate_UntilItIsDropped() public {
        Terms memory terms = funded();
        vm.prank(operator);
        IDelegates(diamond).setDelegate(stranger, true);
        vm.assertTrue(IDelegates(diamond).isDelegate(operator, stranger), "named");
        vm.prank(stranger);
        escrow.releasePart(terms, 1);
        vm.prank(operator);
        IDelegates(diamond).setDelegate(stranger, false);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, stranger, payer, operator));
        vm.prank(stranger);
        escrow.release(terms);
    }

    function test_RevertWhen_AnotherOperatorsDelegateReleases() public {
        Terms memory terms = funded();
        vm.prank(arbiter);
        IDelegates(diamond).setDelegate(stranger, true);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, stranger, payer, operator));
        vm.prank(stranger);
        escrow.release(terms);
    }

    function test_RevertWhen_AnybodyElseReleases() public {
        Terms memory terms = funded();
        address[4] memory others = [payee, arbiter, stranger, owner];
        for (uint256 i; i < others.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], payer, operator));
            vm.prank(others[i]);
            escrow.release(terms);
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], payer, operator));
            vm.prank(others[i]);
            escrow.releasePart(terms, 1);
        }
    }

    function test_RevertWhen_NothingIsHeld() public {
        Terms memory terms = usualTerms();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.None, Status.Funded));
        vm.prank(payer);
        escrow.release(terms);
        funded();
        vm.prank(payer);
        escrow.release(terms);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Settled, Status.Funded));
        vm.prank(payer);
        escrow.release(terms);
        terms.ref++;
        vm.prank(payee);
        escrow.cancelDeal(terms);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Cancelled, Status.Funded));
        vm.prank(payer);
        escrow.release(terms);
    }

    function test_Part_EndsTheDealWithTheLastUnit() public {
        Terms memory terms = funded();
        expectEvent();
        emit IEscrow.Released(escrow.dealId(terms), state(AMOUNT / 4, 0, Status.Funded));
        vm.prank(operator);
        escrow.releasePart(terms, AMOUNT / 4);
        vm.assertEq(usdc.balanceOf(payee), (AMOUNT - FEE) / 4, "payee");
        vm.prank(operator);
        escrow.releasePart(terms, AMOUNT - AMOUNT / 4);
        assertDeal(terms, AMOUNT, 0, Status.Settled);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "payee in the end");
    }

    function test_RevertWhen_APartIsZeroOrAboveWhatIsHeld() public {
        Terms memory terms = funded();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, 0, AMOUNT));
        vm.prank(payer);
        escrow.releasePart(terms, 0);
        vm.prank(payer);
        escrow.releasePart(terms, 10);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, AMOUNT - 9, AMOUNT - 10));
        vm.prank(payer);
        escrow.releasePart(terms, AMOUNT - 9);
    }

    function test_Claim_ByAnybodyAfterTheDeadline() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline + 1);
        expectEvent();
        emit IEscrow.Claimed(escrow.dealId(terms), state(AMOUNT, 0, Status.Settled));
        vm.prank(stranger);
        escrow.claim(terms);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "payee");
    }

    function test_RevertWhen_ClaimedInTheOperatorsLastSecond() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.BeforeDeadline.selector, terms.settlementDeadline, terms.settlementDeadline)
        );
        escrow.claim(terms);
    }

    function test_Claim_OfADisputedDealAfterTheArbitersTime() public {
        Terms memory terms = disputed();
        vm.warp(terms.resolutionDeadline);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.BeforeDeadline.selector, terms.resolutionDeadline, terms.resolutionDeadline)
        );
        escrow.claim(terms);
        vm.warp(terms.resolutionDeadline + 1);
        vm.prank(stranger);
        escrow.claim(terms);
        assertDeal(terms, AMOUNT, 0, Status.Settled);
    }

    function test_RevertWhen_ClaimedAgainstTheDefault() public {
        Terms memory terms = usualTerms();
        terms.defaultOutcome = Outcome.Refund;
        fundedAs(terms);
        vm.warp(terms.settlementDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongOutcome.selector, Outcome.Refund, Outcome.Release));
        escrow.claim(terms);
    }

    function test_RevertWhen_ClaimedWithNothingHeld() public {
        Terms memory terms = usualTerms();
        vm.warp(terms.settlementDeadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.None, Status.Funded));
        escrow.claim(terms);
    }

    function testFuzz_TheFeeIsExactAfterAnySlices(uint256 amount, uint256 fee, uint256 seed) public {
        Terms memory terms = usualTerms();
        terms.amount = 1 + (amount % 10_000);
        terms.fee = fee % (terms.amount + 1);
        fundedAs(terms);
        uint256 released;
        uint256 refunded;
        while (released + refunded < terms.amount) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 slice = 1 + ((seed >> 8) % (terms.amount - released - refunded));
            if (seed & 1 == 0) {
                vm.prank(payer);
                escrow.releasePart(terms, slice);
                released += slice;
            } else {
                vm.prank(payee);
                escrow.refundPart(terms, slice);
                refunded += slice;
            }
            uint256 due = (terms.fee * released) / terms.amount;
            vm.assertEq(escrow.creditOf(terms.token, feeRecipient), due, "fee so far");
            vm.assertEq(usdc.balanceOf(payee), released - due, "payee so far");
        }
        assertDeal(terms, released, refunded, Status.Settled);
        vm.assertEq(usdc.balanceOf(diamond), (terms.fee * released) / terms.amount, "only fees are left");
    }
}
