// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

// deposit, bad terms: each should revert with both values
// ├── amount zero · above 120 bits
// ├── fee above the amount · fee without a recipient · fee for the diamond
// ├── operator zero
// ├── payee zero · the operator · the payer · the token · the diamond
// ├── payer the token · the diamond
// ├── arbiter the payer · the payee
// ├── deadlines too close or out of order, both gaps · too far · wrapping
// └── dirty bits in each address · an outcome beyond its type
contract TermsCheckTest is EscrowTest {
    function test_RevertWhen_TheAmountIsZero() public {
        Terms memory terms = usualTerms();
        (terms.amount, terms.fee) = (0, 0);
        refuses(terms, abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, 0, type(uint120).max));
    }

    function test_RevertWhen_TheAmountDoesNotFitItsField() public {
        Terms memory terms = usualTerms();
        terms.amount = 1 << 120;
        refuses(terms, abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, 1 << 120, type(uint120).max));
    }

    function test_TheLargestAmountFits() public {
        Terms memory terms = usualTerms();
        terms.amount = type(uint120).max;
        terms.fee = terms.amount;
        usdc.mint(payer, terms.amount);
        fundedAs(terms);
        vm.prank(payer);
        escrow.releasePart(terms, terms.amount - 1);
        vm.prank(payer);
        escrow.release(terms);
        vm.assertEq(escrow.creditOf(terms.token, feeRecipient), terms.amount, "all of it is fee");
    }

    function test_RevertWhen_TheFeeIsAboveTheAmount() public {
        Terms memory terms = usualTerms();
        terms.fee = AMOUNT + 1;
        refuses(terms, abi.encodeWithSelector(IEscrow.FeeOutOfRange.selector, AMOUNT + 1, AMOUNT));
    }

    function test_RevertWhen_TheFeeHasNoRecipient() public {
        Terms memory terms = usualTerms();
        terms.feeRecipient = address(0);
        refuses(terms, abi.encodeWithSelector(IEscrow.FeeRecipientInvalid.selector, address(0), FEE));
    }

    function test_RevertWhen_TheFeeIsForTheDiamond() public {
        Terms memory terms = usualTerms();
        terms.feeRecipient = diamond;
        refuses(terms, abi.encodeWithSelector(IEscrow.FeeRecipientInvalid.selector, diamond, FEE));
    }

    function test_RevertWhen_NobodyOperates() public {
        Terms memory terms = usualTerms();
        terms.operator = address(0);
        refuses(terms, abi.encodeWithSelector(IEscrow.OperatorInvalid.selector, address(0)));
    }

    function test_RevertWhen_ThePayeeIsZeroOrAnotherRole() public {
        address[5] memory clashes = [address(0), operator, payer, address(usdc), diamond];
        for (uint256 i; i < clashes.length; i++) {
            Terms memory terms = usualTerms();
            terms.payee = clashes[i];
            refuses(terms, abi.encodeWithSelector(IEscrow.PayeeInvalid.selector, clashes[i], clashes[i]));
        }
    }

    function test_RevertWhen_ThePayerIsTheTokenOrTheDiamond() public {
        address[2] memory clashes = [address(usdc), diamond];
        for (uint256 i; i < clashes.length; i++) {
            Terms memory terms = usualTerms();
            terms.payer = clashes[i];
            refuses(terms, abi.encodeWithSelector(IEscrow.PayerInvalid.selector, clashes[i], clashes[i]));
        }
    }

    function test_RevertWhen_TheArbiterIsAParty() public {
        address[2] memory clashes = [payer, payee];
        for (uint256 i; i < clashes.length; i++) {
            Terms memory terms = usualTerms();
            terms.arbiter = clashes[i];
            refuses(terms, abi.encodeWithSelector(IEscrow.ArbiterInvalid.selector, clashes[i], clashes[i]));
        }
    }

    function test_RevertWhen_DeadlinesAreTooCloseOrOutOfOrder() public {
        uint256 start = START + 1 days;
        uint256[3] memory late = [start + 1 hours - 1, start, start - 1];
        for (uint256 i; i < late.length; i++) {
            Terms memory terms = usualTerms();
            terms.settlementDeadline = late[i];
            refuses(terms, abi.encodeWithSelector(IEscrow.DeadlineGap.selector, start, late[i], 1 hours));
            terms = usualTerms();
            terms.settlementDeadline = terms.resolutionDeadline - 1 hours + 1 + i;
            refuses(
                terms,
                abi.encodeWithSelector(
                    IEscrow.DeadlineGap.selector,
                    terms.settlementDeadline,
                    terms.resolutionDeadline,
                    1 hours
                )
            );
        }
    }

    function test_RevertWhen_ADeadlineWraps() public {
        Terms memory terms = usualTerms();
        terms.settlementDeadline = type(uint256).max;
        refuses(
            terms,
            abi.encodeWithSelector(IEscrow.DeadlineGap.selector, type(uint256).max, terms.resolutionDeadline, 1 hours)
        );
    }

    function test_RevertWhen_TheLastDeadlineIsTooFar() public {
        Terms memory terms = usualTerms();
        terms.resolutionDeadline = START + 3650 days;
        fundedAs(terms);
        terms.resolutionDeadline++;
        refuses(
            terms,
            abi.encodeWithSelector(
                IEscrow.DeadlineTooFar.selector,
                terms.resolutionDeadline,
                terms.resolutionDeadline - 1
            )
        );
    }

    function test_RevertWhen_AWordHasDirtyBits() public {
        uint256[6] memory words = [uint256(1), 2, 3, 4, 7, 8];
        for (uint256 i; i < words.length; i++) {
            bytes memory data = abi.encodeCall(IEscrow.deposit, (usualTerms()));
            uint256 at = 36 + 32 * words[i];
            assembly ("memory-safe") {
                mstore(add(data, at), or(mload(add(data, at)), shl(160, 1))) // the lowest bit above an address
            }
            vm.prank(payer);
            (bool ok, bytes memory reason) = diamond.call(data);
            vm.assertTrue(!ok, "dirty address");
            // Payer and token are read before anything is checked, by the compiler's decoder, which gives no reason.
            if (words[i] == 3 || words[i] == 4) vm.assertEq(reason.length, 0, "decoder");
            else vm.assertEq(bytes4(reason), IEscrow.WordOutOfRange.selector, "said why");
        }
        assertDeal(usualTerms(), 0, 0, Status.None);
    }

    function test_RevertWhen_TheOutcomeIsBeyondItsType() public {
        bytes memory data = abi.encodeCall(IEscrow.deposit, (usualTerms()));
        assembly ("memory-safe") {
            mstore(add(data, 420), 2) // 36 bytes of length and selector, then word 12
        }
        vm.prank(payer);
        (bool ok, bytes memory reason) = diamond.call(data);
        vm.assertTrue(!ok, "outcome 2");
        vm.assertEq(bytes4(reason), IEscrow.WordOutOfRange.selector, "said why");
    }

    function refuses(Terms memory terms, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(payer);
        escrow.deposit(terms);
    }
}
