// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow, Outcome, Terms} from "../../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./EscrowTest.sol";
import {HandlerSignatures} from "./HandlerSignatures.sol";
import {ZooToken} from "./ZooToken.sol";

/// Every door through which a strange token enters or leaves the diamond, so that a test can try something at each.
abstract contract Doors is EscrowTest {
    uint256 internal constant DEPOSITS = 8;
    uint256 internal constant PAYOUTS = 10;

    ZooToken internal zoo;
    uint256 private refs;

    function setUp() public virtual override {
        super.setUp();
        zoo = new ZooToken();
        address[] memory list = new address[](1);
        list[0] = address(zoo);
        vm.prank(owner);
        ITokenPolicy(diamond).allowTokens(list);
        address[2] memory holders = [payer, payee];
        for (uint256 i; i < 2; i++) {
            zoo.mint(holders[i], 1000 * AMOUNT);
            vm.prank(holders[i]);
            zoo.approve(diamond, type(uint256).max);
        }
        vm.prank(payer);
        zoo.approve(permit2, type(uint256).max);
    }

    /// A new deal's deposit by the payer, in one of the forms.
    function depositBy(uint256 door, Terms memory terms) internal view returns (bytes memory) {
        if (door == 0) return abi.encodeCall(IEscrow.deposit, (terms));
        if (door == 1) return abi.encodeCall(IEscrow.depositWithPermit, (terms, 0, 0, 0, 0));
        if (door == 2) return abi.encodeWithSelector(0x0022dd27, terms, 0, 0, 0, 0, 0);
        if (door == 3) return abi.encodeWithSelector(0xbe5a7a50, terms, 0, 0, "");
        bytes memory signature;
        if (door == 4) {
            signature = HandlerSignatures.permit2Deal(PAYER_KEY, permit2, diamond, terms, door, START);
            return abi.encodeCall(IEscrow.depositWithPermit2, (terms, door, START, signature));
        }
        Terms[] memory list = new Terms[](1);
        list[0] = terms;
        if (door == 5) return abi.encodeCall(IEscrow.depositMany, (list));
        if (door == 6) return abi.encodeCall(IEscrow.depositManyWithAuthorization, (list, 0, 0, ""));
        bytes32 deals = keccak256(abi.encode(escrow.dealId(terms)));
        signature = HandlerSignatures.permit2Cart(PAYER_KEY, permit2, diamond, terms, deals, door, START);
        return abi.encodeCall(IEscrow.depositManyWithPermit2, (list, door, START, signature));
    }

    /// A deal in which money can leave by this door, who may open it, and how.
    function payoutBy(uint256 door) internal returns (Terms memory terms, address caller, bytes memory data) {
        zoo.become(ZooToken.Kind.Honest, 0);
        vm.warp(START);
        terms = zooTerms();
        if (door == 7) terms.defaultOutcome = Outcome.Refund;
        fundedAs(terms);
        Terms[] memory list = new Terms[](1);
        list[0] = terms;
        if (door == 0) return (terms, payer, abi.encodeCall(IEscrow.release, (terms)));
        if (door == 1) return (terms, payer, abi.encodeCall(IEscrow.releasePart, (terms, AMOUNT / 2)));
        if (door == 2) return (terms, payer, abi.encodeCall(IEscrow.releaseMany, (list)));
        if (door == 3) return (terms, payee, abi.encodeCall(IEscrow.cancelDeal, (terms)));
        if (door == 4) return (terms, payee, abi.encodeCall(IEscrow.cancelMany, (list)));
        if (door == 5) return (terms, payee, abi.encodeCall(IEscrow.refundPart, (terms, AMOUNT / 2)));
        if (door == 8) {
            vm.prank(payer);
            escrow.openDispute(terms, 0);
            return (terms, arbiter, abi.encodeCall(IEscrow.resolve, (terms, AMOUNT / 2)));
        }
        if (door == 9) {
            uint256[5] memory numbers = [uint256(0), 0, AMOUNT / 2, AMOUNT / 2, START];
            bytes memory ofPayee = HandlerSignatures.settlement(PAYEE_KEY, diamond, escrow.dealId(terms), numbers);
            return (terms, payer, abi.encodeCall(IEscrow.settle, (terms, AMOUNT / 2, START, "", ofPayee)));
        }
        vm.warp(terms.settlementDeadline + 1);
        data = door == 6 ? abi.encodeCall(IEscrow.claim, (terms)) : abi.encodeCall(IEscrow.reclaim, (terms));
        return (terms, stranger, data);
    }

    /// Each time a deal of its own.
    function zooTerms() internal returns (Terms memory terms) {
        terms = usualTerms();
        terms.ref += refs++;
        terms.token = address(zoo);
    }
}
