// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

contract ReleaseTest is EscrowTest {
    function test_ByThePayer_PaysThePayeeLessTheFee() public {
        Terms memory terms = funded();
        vm.prank(payer);
        escrow.release(terms);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "payee");
        assertDeal(terms, AMOUNT, 0, Status.Settled);
    }
}
