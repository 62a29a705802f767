// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

// the fee, for every amount from 1 to 10,000
// ├── fee so far = floor(F * released / A) after every slice, whatever was refunded in between
// └── every number is what the TypeScript model says: both walk the same slices to the same hash (test/model/fee.test.ts)
contract FeeModelTest is EscrowTest {
    /// The hash at the end of the walk, here and in test/model/fee.test.ts.
    bytes32 private constant END = 0xf932d98a85f26d9dc8a7782fa9691e3d9ccbed4f59050da34fc1707de4fa94d6;

    function test_EveryAmount_WalksWithTheModel() public {
        bytes32 walk = keccak256("fees");
        Terms memory terms = usualTerms();
        for (uint256 amount = 1; amount <= 10_000; amount++) {
            terms.ref++;
            terms.amount = amount;
            terms.fee = uint256(walk) % (amount + 1);
            fundedAs(terms);
            walk = walkDown(terms, walk);
        }
        vm.assertEq(walk, END, "the model walked elsewhere");
    }

    /// Releases and refunds random slices, then releases the rest.
    function walkDown(Terms memory terms, bytes32 walk) private returns (bytes32) {
        uint256 fees = escrow.creditOf(terms.token, feeRecipient);
        uint256 paid = usdc.balanceOf(payee);
        uint256 released;
        uint256 refunded;
        for (uint256 slices; released + refunded < terms.amount; slices++) {
            uint256 held = terms.amount - released - refunded;
            uint256 slice = slices == 3 ? held : 1 + (uint256(walk >> 8) % held);
            if (slices < 3 && uint256(walk) & 1 == 1) {
                vm.prank(payee);
                escrow.refundPart(terms, slice);
                refunded += slice;
            } else {
                vm.prank(payer);
                escrow.releasePart(terms, slice);
                released += slice;
            }
            uint256 fee = escrow.creditOf(terms.token, feeRecipient) - fees;
            vm.assertEq(fee, (terms.fee * released) / terms.amount, "fee so far");
            vm.assertEq(usdc.balanceOf(payee) - paid, released - fee, "payee so far");
            walk = keccak256(abi.encode(walk, released, refunded, fee));
        }
        return walk;
    }
}
