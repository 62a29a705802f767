// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Outcome, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {HandlerSignatures} from "./support/HandlerSignatures.sol";

// each deadline, the second before, its last second, the second after
// ├── deposit deadline: deposits of every form end
// ├── settlement deadline: operator and disputes end, the default outcome begins; never both, never neither
// ├── resolution deadline: the arbiter ends, the default outcome of a dispute begins; never both, never neither
// ├── a settlement's own deadline
// └── concessions (the payer releases, the payee refunds): at all of these times, disputed or not
contract DeadlinesTest is EscrowTest {
    uint256 private refs;

    function test_Deposit_EndsAfterItsLastSecond() public {
        for (uint256 i; i < 3; i++) {
            Terms memory terms = fresh(Outcome.Release);
            vm.warp(terms.depositDeadline + i - 1);
            check(payer, abi.encodeCall(IEscrow.deposit, (terms)), i < 2, IEscrow.DepositAfterDeadline.selector);
            terms = fresh(Outcome.Release);
            bytes memory data = abi.encodeCall(IEscrow.depositWithPermit, (terms, START * 2, 0, 0, 0));
            check(payer, data, i < 2, IEscrow.DepositAfterDeadline.selector);
            Terms[] memory list = new Terms[](1);
            list[0] = fresh(Outcome.Release);
            check(payer, abi.encodeCall(IEscrow.depositMany, (list)), i < 2, IEscrow.DepositAfterDeadline.selector);
        }
    }

    function test_Settlement_TheOperatorAndTheDefaultNeverMeet() public {
        for (uint256 i; i < 3; i++) {
            bool early = i < 2;
            for (uint256 verb; verb < 5; verb++) {
                Terms memory terms = opened(Outcome.Release);
                vm.warp(terms.settlementDeadline + i - 1);
                check(verb == 4 ? payee : operator, operatorsCall(terms, verb), early, IEscrow.AfterDeadline.selector);
            }
            checkDefaults(i, false);
        }
    }

    function test_Resolution_TheArbiterAndTheDefaultNeverMeet() public {
        for (uint256 i; i < 3; i++) {
            Terms memory terms = opened(Outcome.Release);
            vm.prank(payer);
            escrow.openDispute(terms, 0);
            vm.warp(terms.resolutionDeadline + i - 1);
            check(arbiter, abi.encodeCall(IEscrow.resolve, (terms, 1)), i < 2, IEscrow.AfterDeadline.selector);
            checkDefaults(i, true);
        }
    }

    function test_ASettlement_EndsAfterItsOwnDeadline() public {
        for (uint256 i; i < 3; i++) {
            Terms memory terms = opened(Outcome.Release);
            uint256 deadline = START + 2 days;
            uint256[5] memory numbers = [uint256(0), 0, 7, AMOUNT - 7, deadline];
            DealId id = escrow.dealId(terms);
            bytes memory ofPayer = HandlerSignatures.settlement(PAYER_KEY, diamond, id, numbers);
            bytes memory ofPayee = HandlerSignatures.settlement(PAYEE_KEY, diamond, id, numbers);
            vm.warp(deadline + i - 1);
            bytes memory data = abi.encodeCall(IEscrow.settle, (terms, 7, deadline, ofPayer, ofPayee));
            check(stranger, data, i < 2, IEscrow.AfterDeadline.selector);
        }
    }

    function test_Concessions_AreAlwaysPossible() public {
        for (uint256 i; i < 14; i++) {
            for (uint256 verb; verb < 4; verb++) {
                Terms memory terms = opened(verb % 2 == 0 ? Outcome.Refund : Outcome.Release);
                if (i % 2 == 1) {
                    vm.prank(verb < 2 ? payee : payer);
                    escrow.openDispute(terms, 0);
                }
                uint256 end = i < 6 ? terms.settlementDeadline : terms.resolutionDeadline;
                vm.warp(i < 12 ? end + ((i / 2) % 3) - 1 : terms.resolutionDeadline + 3650 days);
                vm.prank(verb < 2 ? payer : payee);
                if (verb == 0) escrow.release(terms);
                if (verb == 1) escrow.releasePart(terms, 1);
                if (verb == 2) escrow.cancelDeal(terms);
                if (verb == 3) escrow.refundPart(terms, 1);
            }
        }
    }

    /// The default outcome in the seconds around the deadline that it waits for, by a stranger.
    function checkDefaults(uint256 second, bool disputed_) private {
        for (uint256 outcome; outcome < 2; outcome++) {
            Terms memory terms = opened(Outcome(outcome));
            if (disputed_) {
                vm.prank(payee);
                escrow.openDispute(terms, 0);
            }
            vm.warp((disputed_ ? terms.resolutionDeadline : terms.settlementDeadline) + second - 1);
            bytes memory data =
                outcome == 1 ? abi.encodeCall(IEscrow.claim, (terms)) : abi.encodeCall(IEscrow.reclaim, (terms));
            check(stranger, data, second == 2, IEscrow.BeforeDeadline.selector);
        }
    }

    function operatorsCall(Terms memory terms, uint256 verb) private pure returns (bytes memory) {
        if (verb == 0) return abi.encodeCall(IEscrow.release, (terms));
        if (verb == 1) return abi.encodeCall(IEscrow.releasePart, (terms, 1));
        if (verb == 2) return abi.encodeCall(IEscrow.cancelDeal, (terms));
        if (verb == 3) return abi.encodeCall(IEscrow.refundPart, (terms, 1));
        return abi.encodeCall(IEscrow.openDispute, (terms, 0));
    }

    function check(address caller, bytes memory data, bool accepted, bytes4 otherwise) private {
        vm.prank(caller);
        (bool ok, bytes memory reason) = diamond.call(data);
        vm.assertTrue(ok == accepted, accepted ? "accepted in time" : "refused outside of its time");
        if (!accepted) vm.assertEq(bytes32(bytes4(reason)), bytes32(otherwise), "for the reason of time");
    }

    function fresh(Outcome outcome) private returns (Terms memory terms) {
        terms = usualTerms();
        terms.ref += ++refs;
        terms.defaultOutcome = outcome;
    }

    /// A funded deal, at the start.
    function opened(Outcome outcome) private returns (Terms memory) {
        vm.warp(START);
        return fundedAs(fresh(outcome));
    }
}
