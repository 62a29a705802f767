// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {ZooToken} from "./support/ZooToken.sol";

// the zoo, beyond Tokens.t.sol
// ├── blocklists the fee recipient: no verb is held up, the fee waits
// ├── blocklists the diamond: everything becomes a credit, nothing is lost
// ├── blocklists the payee when giving back: it should revert and count nothing
// ├── lies when giving back: it should revert
// ├── takes a fee on the way out: the receiver bears it, the deal and its neighbours don't
// ├── grows balances: a surplus that belongs to no deal
// ├── destroyed after the deposit: credits, and other tokens untouched
// ├── taken off the list, or paused, while deals hold it: every exit stays open
// ├── floods return data: the token pays for it, the diamond copies a word
// └── gas: whatever a call has, it pays in full, or it changes nothing
contract TokenZooTest is EscrowTest {
    ZooToken private zoo;

    function setUp() public override {
        super.setUp();
        zoo = new ZooToken();
        vm.prank(owner);
        ITokenPolicy(diamond).allowTokens(only(address(zoo)));
        address[2] memory holders = [payer, payee];
        for (uint256 i; i < 2; i++) {
            zoo.mint(holders[i], 1000 * AMOUNT);
            vm.prank(holders[i]);
            zoo.approve(diamond, type(uint256).max);
        }
    }

    function test_ABlockedFeeRecipient_HoldsUpNobody() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.block_(feeRecipient);
        uint256 before = zoo.balanceOf(payee);
        vm.prank(payer);
        escrow.release(terms);
        vm.assertEq(zoo.balanceOf(payee), before + AMOUNT - FEE, "payee");
        vm.expectRevert();
        escrow.withdraw(address(zoo), feeRecipient);
        vm.assertEq(escrow.creditOf(address(zoo), feeRecipient), FEE, "the fee waits");
    }

    function test_ABlockedDiamond_TurnsEverythingIntoCredits() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.block_(diamond);
        vm.prank(payer);
        escrow.openDispute(terms, 0);
        vm.prank(arbiter);
        escrow.resolve(terms, AMOUNT / 2);
        vm.assertEq(escrow.creditOf(address(zoo), payee), (AMOUNT - FEE) / 2, "payee");
        vm.assertEq(escrow.creditOf(address(zoo), payer), AMOUNT / 2, "payer");
        zoo.become(ZooToken.Kind.Honest, 0);
        escrow.withdraw(address(zoo), payee);
        escrow.withdraw(address(zoo), payer);
        escrow.withdraw(address(zoo), feeRecipient);
        vm.assertEq(zoo.balanceOf(diamond), 0, "all paid");
    }

    function test_RevertWhen_GivingBackDoesNotArrive() public {
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.release(terms);
        ZooToken.Kind[3] memory kinds = [ZooToken.Kind.Reverts, ZooToken.Kind.ReturnsFalse, ZooToken.Kind.ReturnsShort];
        for (uint256 i; i < 4; i++) {
            if (i < 3) zoo.become(kinds[i], 0);
            else zoo.block_(payee);
            vm.expectRevert(
                abi.encodeWithSelector(IEscrow.TransferFailed.selector, address(zoo), payee, payer, AMOUNT)
            );
            vm.prank(payee);
            escrow.returnPayment(terms, AMOUNT);
        }
        assertDeal(terms, AMOUNT, 0, Status.Settled);
    }

    function test_AFeeOnTheWayOut_IsTheReceivers() public {
        Terms memory first = fundedAs(zooTerms());
        Terms memory second = zooTerms();
        second.ref++;
        fundedAs(second);
        zoo.become(ZooToken.Kind.TakesFee, 0);
        uint256 before = zoo.balanceOf(payee);
        vm.prank(payer);
        escrow.release(first);
        vm.assertEq(zoo.balanceOf(payee), before + AMOUNT - FEE - 1, "one less arrived");
        vm.assertEq(zoo.balanceOf(diamond), AMOUNT + FEE, "the other deal is whole");
    }

    function test_GrownBalances_BelongToNoDeal() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.mint(diamond, AMOUNT);
        vm.prank(payee);
        escrow.cancelDeal(terms);
        vm.assertEq(zoo.balanceOf(diamond), AMOUNT, "the surplus stays");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingToWithdraw.selector, address(zoo), payer));
        escrow.withdraw(address(zoo), payer);
    }

    function test_ADonation_NeverPaysADeposit() public {
        zoo.mint(diamond, 10 * AMOUNT);
        Terms memory terms = zooTerms();
        vm.prank(payer);
        zoo.approve(diamond, AMOUNT - 1);
        vm.expectRevert();
        vm.prank(payer);
        escrow.deposit(terms);
        assertDeal(terms, 0, 0, Status.None);
    }

    function test_ADestroyedToken_HarmsItsOwnDealsOnly() public {
        Terms memory bad = fundedAs(zooTerms());
        Terms memory good = funded();
        vm.etch(address(zoo), "");
        vm.prank(payer);
        escrow.release(bad);
        vm.assertEq(escrow.creditOf(address(zoo), payee), AMOUNT - FEE, "a credit, not a payment");
        vm.prank(payer);
        escrow.release(good);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "the good deal");
    }

    function test_OffTheListOrPaused_EveryExitStaysOpen() public {
        Terms[6] memory deals;
        for (uint256 i; i < 6; i++) {
            deals[i] = zooTerms();
            deals[i].ref += i;
            if (i == 4) deals[i].defaultOutcome = Outcome.Refund;
            fundedAs(deals[i]);
        }
        vm.prank(owner);
        ITokenPolicy(diamond).disallowTokens(only(address(zoo)));
        vm.prank(guardian);
        ITokenPolicy(diamond).pauseDeposits(only(address(zoo)));
        vm.prank(operator);
        escrow.release(deals[0]);
        vm.prank(payee);
        escrow.cancelDeal(deals[1]);
        vm.prank(payer);
        escrow.openDispute(deals[2], 0);
        vm.prank(arbiter);
        escrow.resolve(deals[2], 1);
        vm.warp(deals[3].settlementDeadline + 1);
        escrow.claim(deals[3]);
        escrow.reclaim(deals[4]);
        vm.prank(payer);
        escrow.releasePart(deals[5], AMOUNT);
        for (uint256 i; i < 6; i++) {
            vm.assertEq(uint256(escrow.getDeal(escrow.dealId(deals[i])).status), uint256(Status.Settled), "empty");
        }
        escrow.withdraw(address(zoo), feeRecipient);
    }

    /// What the flood costs is spent inside the token; the diamond copies one word of it.
    function test_AReturnBomb_CostsItsTokenOnly() public {
        Terms[3] memory deals;
        for (uint256 i; i < 3; i++) {
            deals[i] = zooTerms();
            deals[i].ref += i;
            fundedAs(deals[i]);
        }
        vm.prank(payer);
        escrow.release(deals[0]); // afterwards every slot was touched
        bytes memory transfer = abi.encodeCall(zoo.transfer, (payee, 1));
        gasOf(address(zoo), transfer);
        uint256 honestTransfer = gasOf(address(zoo), transfer);
        uint256 honest = gasOf(diamond, abi.encodeCall(IEscrow.release, (deals[1])));
        zoo.become(ZooToken.Kind.FloodsReturnData, 0);
        uint256 flood = gasOf(address(zoo), transfer);
        uint256 flooded = gasOf(diamond, abi.encodeCall(IEscrow.release, (deals[2])));
        vm.assertTrue(flood > honestTransfer + 25_000, "a flood");
        vm.assertTrue(flooded < honest + flood - honestTransfer + 10_000, "no copy of it");
    }

    /// Each verb that pushes, with every amount of gas: the token needs 100,000, so that too little makes it fail.
    function testFuzz_Gas_PaysInFullOrChangesNothing(uint256 verb, uint256 limit) public {
        Terms memory terms = zooTerms();
        if (verb % 6 == 4) terms.defaultOutcome = Outcome.Refund;
        fundedAs(terms);
        zoo.become(ZooToken.Kind.NeedsGas, 0);
        uint256 before = zoo.balanceOf(diamond);
        (address caller, bytes memory data) = push(terms, verb % 6);
        vm.prank(caller);
        (bool ok, ) = diamond.call{gas: 30_000 + (limit % 500_000)}(data);
        vm.assertEq(escrow.creditOf(address(zoo), payee) + escrow.creditOf(address(zoo), payer), 0, "no credit");
        if (!ok) vm.assertEq(zoo.balanceOf(diamond), before, "nothing happened");
        else vm.assertTrue(zoo.balanceOf(diamond) <= FEE, "paid in full");
    }

    /// Gas of a call by the payer whose return data nobody copies.
    function gasOf(address target, bytes memory data) private returns (uint256 used) {
        vm.prank(payer);
        bool ok;
        used = gasleft();
        assembly ("memory-safe") {
            ok := call(gas(), target, 0, add(data, 32), mload(data), 0, 0)
        }
        used -= gasleft();
        vm.assertTrue(ok, "accepted");
    }

    function push(Terms memory terms, uint256 verb) private returns (address, bytes memory) {
        if (verb == 0) return (payer, abi.encodeCall(IEscrow.release, (terms)));
        if (verb == 1) return (payee, abi.encodeCall(IEscrow.cancelDeal, (terms)));
        if (verb == 2) {
            Terms[] memory list = new Terms[](1);
            list[0] = terms;
            return (payer, abi.encodeCall(IEscrow.releaseMany, (list)));
        }
        if (verb == 5) {
            vm.prank(payer);
            escrow.openDispute(terms, 0);
            return (arbiter, abi.encodeCall(IEscrow.resolve, (terms, AMOUNT)));
        }
        vm.warp(terms.settlementDeadline + 1);
        return (
            stranger,
            verb == 3 ? abi.encodeCall(IEscrow.claim, (terms)) : abi.encodeCall(IEscrow.reclaim, (terms))
        );
    }

    function zooTerms() private view returns (Terms memory terms) {
        terms = usualTerms();
        terms.token = address(zoo);
    }

    function only(address token) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = token;
    }
}
