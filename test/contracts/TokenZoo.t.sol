// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Deal, IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {Doors} from "./support/Doors.sol";
import {ZooToken} from "./support/ZooToken.sol";

// the zoo, beyond Tokens.t.sol
// ├── at every deposit: less than the amount is refused
// ├── at every payout: a blocklisted payer or payee has a credit, and holds up nobody
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
contract TokenZooTest is Doors {
    function test_AtEveryDeposit_LessThanTheAmountIsRefused() public {
        for (uint256 door; door < DEPOSITS; door++) {
            Terms memory terms = zooTerms();
            bytes memory data = depositBy(door, terms);
            zoo.become(ZooToken.Kind.TakesFee, 0);
            vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongDelta.selector, AMOUNT - 1, AMOUNT));
            vm.prank(payer);
            (bool ok, ) = diamond.call(data);
            assertDeal(terms, 0, 0, Status.None);
            zoo.become(ZooToken.Kind.Honest, 0);
            vm.prank(payer);
            (ok, ) = diamond.call(data);
            vm.assertTrue(ok, "the same from an honest token");
        }
    }

    /// Payer and payee in turn: whoever is refused has a credit, the other one is paid, and no verb is held up.
    function test_AtEveryPayout_ABlockedParty_HoldsUpNobody() public {
        address[2] memory parties = [payer, payee];
        for (uint256 door; door < PAYOUTS; door++) {
            for (uint256 i; i < 2; i++) {
                (Terms memory terms, address caller, bytes memory data) = payoutBy(door);
                uint256[2] memory before = [worth(payer), worth(payee)];
                uint256 blocked = zoo.balanceOf(parties[i]);
                zoo.block_(parties[i]);
                vm.prank(caller);
                (bool ok, ) = diamond.call(data);
                vm.assertTrue(ok, "not held up");
                Deal memory deal = escrow.getDeal(escrow.dealId(terms));
                vm.assertEq(worth(payer) - before[0], deal.refunded, "payer");
                vm.assertEq(worth(payee) - before[1], deal.released - (FEE * deal.released) / AMOUNT, "payee");
                vm.assertEq(zoo.balanceOf(parties[i]), blocked, "nothing moved where it is refused");
            }
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

    /// At each payout, with every amount of gas: the token needs 100,000, so that too little makes it fail.
    function testFuzz_Gas_PaysInFullOrChangesNothing(uint256 door, uint256 limit) public {
        (Terms memory terms, address caller, bytes memory data) = payoutBy(door % PAYOUTS);
        zoo.become(ZooToken.Kind.NeedsGas, bytes32(uint256(100_000)));
        uint256 before = zoo.balanceOf(diamond);
        vm.prank(caller);
        (bool ok, ) = diamond.call{gas: 30_000 + (limit % 600_000)}(data);
        vm.assertEq(escrow.creditOf(address(zoo), payee) + escrow.creditOf(address(zoo), payer), 0, "no credit");
        Deal memory deal = escrow.getDeal(escrow.dealId(terms));
        uint256 gone = deal.released + deal.refunded - escrow.creditOf(address(zoo), feeRecipient);
        vm.assertEq(zoo.balanceOf(diamond), before - gone, "what is written was paid");
        vm.assertTrue(ok == (gone != 0), "all or nothing");
    }

    /// A token that needs all but 500 gas of the cap: where EIP-150 leaves it a little less, nothing may be credited.
    function test_Gas_JustBelowTheCap_IsNoRefusal() public {
        uint256 most = needOfAWholePush();
        zoo.become(ZooToken.Kind.Honest, 0);
        bytes32 needed = bytes32(most - 500);
        uint256 paid;
        for (uint256 limit = 200_000; limit < 300_000; limit += 250) {
            (, address caller, bytes memory data) = payoutBy(1);
            zoo.become(ZooToken.Kind.NeedsGas, needed);
            vm.prank(caller);
            (bool ok, ) = diamond.call{gas: limit}(data);
            if (ok) paid++;
            vm.assertEq(escrow.creditOf(address(zoo), payee), 0, "credit by starvation");
        }
        vm.assertTrue(paid > 100, "enough gas pays");
    }

    /// The most that the token may want to have left, for a push with the whole cap to be accepted.
    function needOfAWholePush() private returns (uint256 low) {
        uint256 high = 200_000;
        uint256 credited = escrow.creditOf(address(zoo), payee);
        while (high - low > 1) {
            uint256 middle = (low + high) / 2;
            (, address caller, bytes memory data) = payoutBy(1);
            zoo.become(ZooToken.Kind.NeedsGas, bytes32(middle));
            vm.prank(caller);
            (bool ok, ) = diamond.call{gas: 1_000_000}(data);
            vm.assertTrue(ok, "paid or credited");
            uint256 now_ = escrow.creditOf(address(zoo), payee);
            if (now_ == credited) low = middle;
            else high = middle;
            credited = now_;
        }
        zoo.become(ZooToken.Kind.Honest, 0);
        escrow.withdraw(address(zoo), payee);
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

    function worth(address account) private view returns (uint256) {
        return zoo.balanceOf(account) + escrow.creditOf(address(zoo), account);
    }

    function only(address token) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = token;
    }
}
