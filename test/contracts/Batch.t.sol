// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

// releaseMany, cancelMany
// ├── it should do what the single verb does to every entry, whatever the mix of payees, tokens and fee recipients
// ├── when an entry is not in the right state, or not the caller's: it should skip it and say why
// ├── when an entry stands twice: it should do the first and skip the second
// └── when the batch is empty or too large: it should revert
contract BatchTest is EscrowTest {
    function testFuzz_ReleasesLikeTheSingleVerb(uint256 seed) public {
        Terms[] memory list = new Terms[](6);
        uint256 perPayee;
        uint256 perStranger;
        uint256 fees;
        for (uint256 i; i < 6; i++) {
            list[i] = usualTerms();
            list[i].ref += i;
            list[i].amount = 100 + ((seed >> (8 * i)) % 1000);
            list[i].fee = list[i].amount / 10;
            bool other = (seed >> i) & 1 == 1;
            if (other) list[i].payee = stranger;
            if ((seed >> (100 + i)) & 1 == 1) list[i].feeRecipient = arbiter;
            else fees += list[i].fee;
            if (other) perStranger += list[i].amount - list[i].fee;
            else perPayee += list[i].amount - list[i].fee;
            fundedAs(list[i]);
        }
        vm.prank(operator);
        escrow.releaseMany(list);
        for (uint256 i; i < 6; i++) assertDeal(list[i], list[i].amount, 0, Status.Settled);
        vm.assertEq(usdc.balanceOf(payee), perPayee, "payee");
        vm.assertEq(usdc.balanceOf(stranger), perStranger, "the other payee");
        vm.assertEq(escrow.creditOf(address(usdc), feeRecipient), fees, "fees");
    }

    function test_Releases_TwoTokens() public {
        Terms[] memory list = many(2);
        list[1].token = address(usdt);
        for (uint256 i; i < 2; i++) fundedAs(list[i]);
        vm.prank(payer);
        escrow.releaseMany(list);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "usdc");
        vm.assertEq(usdt.balanceOf(payee), AMOUNT - FEE, "usdt");
    }

    function test_Release_SkipsAndSaysWhy() public {
        Terms[] memory list = many(5);
        for (uint256 i = 1; i < 4; i++) fundedAs(list[i]);
        vm.prank(payer);
        escrow.openDispute(list[1], 0);
        list[2].operator = stranger;
        fundedAs(list[2]);
        list[4] = list[3];
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[0]), IEscrow.WrongStatus.selector);
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[1]), IEscrow.WrongStatus.selector);
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[2]), IEscrow.NotAllowed.selector);
        expectEvent();
        emit IEscrow.Released(escrow.dealId(list[3]), state(AMOUNT, 0, Status.Settled));
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[4]), IEscrow.WrongStatus.selector);
        vm.prank(operator);
        escrow.releaseMany(list);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "paid once");
        assertDeal(list[1], 0, 0, Status.Disputed);
    }

    function test_Release_SkipsWhatIsLate() public {
        Terms[] memory list = many(1);
        fundedAs(list[0]);
        vm.warp(list[0].settlementDeadline + 1);
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[0]), IEscrow.AfterDeadline.selector);
        vm.prank(operator);
        escrow.releaseMany(list);
    }

    function test_Cancel_ClosesRefundsAndSkips() public {
        Terms[] memory list = many(5);
        fundedAs(list[1]);
        fundedAs(list[2]);
        vm.prank(payer);
        escrow.release(list[2]);
        list[3].operator = stranger;
        list[4].operator = stranger;
        fundedAs(list[4]);
        uint256 before = usdc.balanceOf(payer);
        expectEvent();
        emit IEscrow.DealCancelled(escrow.dealId(list[0]), state(0, 0, Status.Cancelled));
        expectEvent();
        emit IEscrow.DealCancelled(escrow.dealId(list[1]), state(0, AMOUNT, Status.Settled));
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[2]), IEscrow.WrongStatus.selector);
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[3]), IEscrow.NotAllowed.selector);
        expectEvent();
        emit IEscrow.Skipped(escrow.dealId(list[4]), IEscrow.NotAllowed.selector);
        vm.prank(operator);
        escrow.cancelMany(list);
        vm.assertEq(usdc.balanceOf(payer), before + AMOUNT, "payer");
    }

    function test_RevertWhen_ABatchIsEmptyOrTooLarge() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BatchSize.selector, 0, 100));
        escrow.releaseMany(new Terms[](0));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BatchSize.selector, 101, 100));
        escrow.releaseMany(new Terms[](101));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BatchSize.selector, 0, 100));
        escrow.cancelMany(new Terms[](0));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BatchSize.selector, 101, 100));
        escrow.cancelMany(new Terms[](101));
        escrow.cancelMany(new Terms[](100));
    }

    function many(uint256 size) private view returns (Terms[] memory list) {
        list = new Terms[](size);
        for (uint256 i; i < size; i++) {
            list[i] = usualTerms();
            list[i].ref += i;
        }
    }
}
