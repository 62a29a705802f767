// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Deal, DealId, IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {HandlerSignatures} from "./support/HandlerSignatures.sol";

// each deadline, the second before, its last second, the second after
// ├── deposit deadline: deposits of every form end
// ├── settlement deadline: operator and disputes end, the default outcome begins; never both, never neither
// ├── resolution deadline: the arbiter ends, the default outcome of a dispute begins; never both, never neither
// ├── a settlement's own deadline
// └── concessions (the payer releases, the payee refunds, both settle; alone or in a batch): at all of these times, disputed
//     or not
contract DeadlinesTest is EscrowTest {
    uint256 private refs;

    function setUp() public override {
        super.setUp();
        vm.prank(payer);
        usdc.approve(permit2, type(uint256).max);
    }

    function test_Deposit_EndsAfterItsLastSecond() public {
        for (uint256 i; i < 3; i++) {
            for (uint256 form; form < 8; form++) {
                Terms memory terms = fresh(Outcome.Release);
                vm.warp(terms.depositDeadline + i - 1);
                check(payer, depositBy(form, terms), i < 2, IEscrow.DepositAfterDeadline.selector);
            }
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
            for (uint256 verb; verb < 2; verb++) {
                Terms[] memory list = new Terms[](1);
                list[0] = opened(Outcome.Refund);
                vm.warp(list[0].settlementDeadline + i - 1);
                if (!early) expectEvent();
                if (!early) emit IEscrow.Skipped(escrow.dealId(list[0]), IEscrow.AfterDeadline.selector);
                vm.prank(operator);
                if (verb == 0) escrow.releaseMany(list);
                else escrow.cancelMany(list);
                Status left = early ? Status.Settled : Status.Funded;
                vm.assertEq(uint256(escrow.getDeal(escrow.dealId(list[0])).status), uint256(left), "in a batch too");
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
            for (uint256 verb; verb < 7; verb++) {
                Terms memory terms = opened(verb % 2 == 0 ? Outcome.Refund : Outcome.Release);
                bool releasing = verb < 2 || verb == 4;
                Terms[] memory list = new Terms[](1);
                list[0] = terms;
                if (i % 2 == 1) {
                    vm.prank(releasing ? payee : payer);
                    escrow.openDispute(terms, 0);
                }
                uint256 end = i < 6 ? terms.settlementDeadline : terms.resolutionDeadline;
                vm.warp(i < 12 ? end + ((i / 2) % 3) - 1 : terms.resolutionDeadline + 3650 days);
                bytes memory ofPayer = settlement(PAYER_KEY, terms);
                vm.prank(releasing ? payer : payee);
                if (verb == 0) escrow.release(terms);
                if (verb == 1) escrow.releasePart(terms, 1);
                if (verb == 2) escrow.cancelDeal(terms);
                if (verb == 3) escrow.refundPart(terms, 1);
                if (verb == 4) escrow.releaseMany(list);
                if (verb == 5) escrow.cancelMany(list);
                if (verb == 6) escrow.settle(terms, 7, type(uint256).max, ofPayer, "");
                Deal memory deal = escrow.getDeal(escrow.dealId(terms));
                bool whole = verb != 1 && verb != 3;
                vm.assertEq(deal.released + deal.refunded, whole ? AMOUNT : 1, "conceded");
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

    function depositBy(uint256 form, Terms memory terms) private view returns (bytes memory) {
        uint256 until = START * 2;
        DealId id = escrow.dealId(terms);
        Terms[] memory list = new Terms[](1);
        list[0] = terms;
        if (form == 0) return abi.encodeCall(IEscrow.deposit, (terms));
        if (form == 1) return abi.encodeCall(IEscrow.depositWithPermit, (terms, until, 0, 0, 0));
        if (form == 2) return abi.encodeCall(IEscrow.depositMany, (list));
        bytes32 domain = usdc.DOMAIN_SEPARATOR();
        bytes memory signature;
        if (form < 5) {
            signature = HandlerSignatures.authorization(PAYER_KEY, domain, diamond, terms, id, until);
            if (form == 3) return abi.encodeWithSelector(0xbe5a7a50, terms, 0, until, signature);
            (bytes32 r, bytes32 s) = (bytes32(0), bytes32(0));
            assembly ("memory-safe") {
                r := mload(add(signature, 32))
                s := mload(add(signature, 64))
            }
            return abi.encodeWithSelector(0x0022dd27, terms, 0, until, uint8(signature[64]), r, s);
        }
        bytes32 cart = keccak256(abi.encode(id));
        if (form == 5) {
            signature = HandlerSignatures.authorization(PAYER_KEY, domain, diamond, terms, DealId.wrap(cart), until);
            return abi.encodeCall(IEscrow.depositManyWithAuthorization, (list, 0, until, signature));
        }
        uint256 nonce = terms.ref;
        if (form == 6) {
            signature = HandlerSignatures.permit2Deal(PAYER_KEY, permit2, diamond, terms, nonce, until);
            return abi.encodeCall(IEscrow.depositWithPermit2, (terms, nonce, until, signature));
        }
        signature = HandlerSignatures.permit2Cart(PAYER_KEY, permit2, diamond, terms, cart, nonce, until);
        return abi.encodeCall(IEscrow.depositManyWithPermit2, (list, nonce, until, signature));
    }

    /// What one party signs for 7 to the payee and the rest to the payer, whenever that is.
    function settlement(uint256 key, Terms memory terms) private view returns (bytes memory) {
        uint256[5] memory numbers = [uint256(0), 0, 7, AMOUNT - 7, type(uint256).max];
        return HandlerSignatures.settlement(key, diamond, escrow.dealId(terms), numbers);
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
