// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

// deposit
// ├── when the terms name a payer
// │   ├── it should hold the amount and emit the full terms
// │   └── when somebody else pays: it should take the caller's tokens and keep the payer named
// ├── when the terms are an offer
// │   ├── it should fill in the caller and open the deal of these terms
// │   ├── when a stranger deposited on it before: it should still accept the buyer
// │   ├── when it was closed: it should revert
// │   └── when the named form was closed: it should still accept others
// ├── when the deal was opened or closed before: it should revert
// ├── when the deadline is over: it should revert, and accept in the last second
// ├── when the token is off the list, or paused: it should revert
// ├── when the allowance is short: it should revert and keep the deal closed
// ├── when the token returns nothing: it should hold the amount
// └── when any single field is altered: it should open another deal
contract DepositTest is EscrowTest {
    function test_HoldsTheAmountAndEmitsTheTerms() public {
        Terms memory terms = usualTerms();
        expectEvent();
        emit IEscrow.Deposited(escrow.dealId(terms), payer, payee, terms);
        vm.prank(payer);
        escrow.deposit(terms);
        vm.assertEq(usdc.balanceOf(diamond), AMOUNT, "held");
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_WhenSomebodyElsePays_KeepsThePayerNamed() public {
        fund(stranger);
        Terms memory terms = usualTerms();
        uint256 before = usdc.balanceOf(payer);
        vm.prank(stranger);
        escrow.deposit(terms);
        vm.assertEq(usdc.balanceOf(payer), before, "payer's tokens");
        vm.prank(payee);
        escrow.cancelDeal(terms);
        vm.assertEq(usdc.balanceOf(payer), before + AMOUNT, "the refund is the payer's");
    }

    function test_WhenAnOffer_FillsInTheCaller() public {
        Terms memory named = usualTerms();
        Terms memory offer = usualTerms();
        offer.payer = address(0);
        expectEvent();
        emit IEscrow.Deposited(escrow.dealId(named), payer, payee, named);
        vm.prank(payer);
        escrow.deposit(offer);
        assertDeal(named, 0, 0, Status.Funded);
        assertDeal(offer, 0, 0, Status.None);
    }

    function test_WhenAStrangerTookTheOffer_StillAcceptsTheBuyer() public {
        fund(stranger);
        Terms memory offer = usualTerms();
        offer.payer = address(0);
        vm.prank(stranger);
        escrow.deposit(offer);
        vm.prank(payer);
        escrow.deposit(offer);
        assertDeal(usualTerms(), 0, 0, Status.Funded);
    }

    function test_RevertWhen_TheOfferWasClosed() public {
        Terms memory offer = usualTerms();
        offer.payer = address(0);
        vm.prank(operator);
        escrow.cancelDeal(offer);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.OfferClosed.selector, escrow.dealId(offer)));
        vm.prank(payer);
        escrow.deposit(offer);
    }

    function test_WhenANamedFormWasClosed_OthersCanStillTakeTheOffer() public {
        fund(stranger);
        Terms memory terms = usualTerms();
        vm.prank(operator);
        escrow.cancelDeal(terms);
        terms.payer = address(0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Cancelled, Status.None));
        vm.prank(payer);
        escrow.deposit(terms);
        vm.prank(stranger);
        escrow.deposit(terms);
    }

    function test_RevertWhen_DepositedTwice() public {
        Terms memory terms = funded();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Funded, Status.None));
        vm.prank(payer);
        escrow.deposit(terms);
        vm.assertEq(usdc.balanceOf(diamond), AMOUNT, "held once");
    }

    function test_RevertWhen_SettledBefore() public {
        Terms memory terms = funded();
        vm.prank(payer);
        escrow.release(terms);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Settled, Status.None));
        vm.prank(payer);
        escrow.deposit(terms);
    }

    function test_InTheLastSecond_Accepts() public {
        Terms memory terms = usualTerms();
        vm.warp(terms.depositDeadline);
        fundedAs(terms);
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_RevertWhen_ASecondLate() public {
        Terms memory terms = usualTerms();
        vm.warp(terms.depositDeadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEscrow.DepositAfterDeadline.selector,
                terms.depositDeadline + 1,
                terms.depositDeadline
            )
        );
        vm.prank(payer);
        escrow.deposit(terms);
    }

    function test_RevertWhen_TheTokenIsOffTheList() public {
        Terms memory terms = usualTerms();
        address[] memory tokens = new address[](1);
        tokens[0] = terms.token;
        vm.prank(owner);
        ITokenPolicy(diamond).disallowTokens(tokens);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.TokenNotAllowed.selector, terms.token));
        vm.prank(payer);
        escrow.deposit(terms);
    }

    function test_RevertWhen_Paused_AndEverythingElseGoesOn() public {
        Terms memory open = funded();
        address[] memory tokens = new address[](1);
        tokens[0] = address(usdc);
        vm.prank(guardian);
        ITokenPolicy(diamond).pauseDeposits(tokens);
        Terms memory terms = usualTerms();
        terms.ref++;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.DepositsPaused.selector, terms.token));
        vm.prank(payer);
        escrow.deposit(terms);
        vm.prank(payer);
        escrow.release(open);
        assertDeal(open, AMOUNT, 0, Status.Settled);
    }

    function test_RevertWhen_TheAllowanceIsShort() public {
        Terms memory terms = usualTerms();
        vm.prank(payer);
        usdc.approve(diamond, AMOUNT - 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.TransferFailed.selector, terms.token, payer, diamond, AMOUNT));
        vm.prank(payer);
        escrow.deposit(terms);
        assertDeal(terms, 0, 0, Status.None);
    }

    function test_WhenTheTokenReturnsNothing_Holds() public {
        Terms memory terms = usualTerms();
        terms.token = address(usdt);
        fundedAs(terms);
        vm.assertEq(usdt.balanceOf(diamond), AMOUNT, "held");
        vm.prank(payer);
        escrow.release(terms);
        vm.assertEq(usdt.balanceOf(payee), AMOUNT - FEE, "paid");
    }

    function testFuzz_WhenAnyFieldIsAltered_OpensAnotherDeal(uint256 field) public {
        Terms memory terms = usualTerms();
        DealId id = escrow.dealId(terms);
        field %= 13;
        if (field == 0) terms.ref++;
        if (field == 1) terms.operator = stranger;
        if (field == 2) terms.payee = stranger;
        if (field == 3) terms.payer = stranger;
        if (field == 4) terms.token = address(usdt);
        if (field == 5) terms.amount++;
        if (field == 6) terms.fee++;
        if (field == 7) terms.feeRecipient = stranger;
        if (field == 8) terms.arbiter = stranger;
        if (field == 9) terms.depositDeadline++;
        if (field == 10) terms.settlementDeadline++;
        if (field == 11) terms.resolutionDeadline++;
        if (field == 12) terms.defaultOutcome = Outcome.Refund;
        vm.prank(payer);
        escrow.deposit(terms);
        vm.assertEq(uint256(escrow.getDeal(id).status), uint256(Status.None), "the original stays closed");
    }
}
