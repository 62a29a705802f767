// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDiamondLoupe} from "../../contracts/interfaces/IDiamond.sol";
import {Deal, DealId, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {HandlerIntruder} from "./support/HandlerIntruder.sol";
import {ICallback, ZooToken} from "./support/ZooToken.sol";

/// Reads a deal and a credit while tokens move.
contract Onlooker is ICallback {
    IEscrow private immutable ESCROW;
    DealId private id;
    address private token;
    address private account;
    Deal public deal;
    uint256 public credit;

    constructor(IEscrow escrow) {
        ESCROW = escrow;
    }

    function lookAt(DealId id_, address token_, address account_) external {
        (id, token, account) = (id_, token_, account_);
    }

    function onTokensMoved() external {
        deal = ESCROW.getDeal(id);
        credit = ESCROW.creditOf(token, account);
    }
}

// a token that calls back
// ├── at every door where tokens move (deposit, cart, release, refund, split, give back, withdraw): each function that the
// │   loupe lists is refused, but for those that only read
// ├── a party that re-enters through its own deal gains nothing
// ├── what a callback reads is the state afterwards
// └── afterwards the diamond is open again, also after a revert
contract ReentrancyTest is EscrowTest {
    ZooToken private zoo;
    HandlerIntruder private intruder;

    function setUp() public override {
        super.setUp();
        zoo = new ZooToken();
        intruder = new HandlerIntruder(diamond);
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
    }

    function test_AtADeposit() public {
        arm();
        fundedAs(zooTerms());
        assertRefused(1);
    }

    function test_AtACart() public {
        arm();
        Terms[] memory list = new Terms[](2);
        (list[0], list[1]) = (zooTerms(), zooTerms());
        list[1].ref++;
        vm.prank(payer);
        escrow.depositMany(list);
        assertRefused(1);
    }

    /// A push has a gas cap, so each function gets a push of its own.
    function test_AtARelease() public {
        Terms memory terms = fundedAs(zooTerms());
        bytes[] memory plans = everyFunction();
        for (uint256 i; i < plans.length; i++) {
            arm(plans[i]);
            vm.prank(payer);
            escrow.releasePart(terms, 1);
        }
        assertRefused(1);
        vm.assertEq(zoo.balanceOf(payee), 1000 * AMOUNT + 42, "each was paid");
    }

    function test_AtARefund() public {
        Terms memory terms = fundedAs(zooTerms());
        bytes[] memory plans = everyFunction();
        for (uint256 i; i < plans.length; i++) {
            arm(plans[i]);
            vm.prank(payee);
            escrow.refundPart(terms, 1);
        }
        assertRefused(1);
    }

    function test_AtASplit() public {
        bytes[] memory plans = everyFunction();
        for (uint256 i; i < plans.length; i++) {
            zoo.become(ZooToken.Kind.Honest, 0);
            Terms memory terms = zooTerms();
            terms.ref += i;
            fundedAs(terms);
            vm.prank(payer);
            escrow.openDispute(terms, 0);
            arm(plans[i]);
            vm.prank(arbiter);
            escrow.resolve(terms, AMOUNT / 2);
        }
        assertRefused(2); // one push to each party
    }

    function test_AtADefaultOutcomeAndABatch() public {
        bytes[] memory plans = everyFunction();
        Terms[] memory list = new Terms[](1);
        for (uint256 i; i < plans.length; i++) {
            zoo.become(ZooToken.Kind.Honest, 0);
            list[0] = zooTerms();
            list[0].ref += i;
            vm.warp(START);
            fundedAs(list[0]);
            arm(plans[i]);
            vm.warp(list[0].settlementDeadline + 1);
            if (i % 2 == 0) escrow.claim(list[0]);
            else {
                vm.prank(payer);
                escrow.releaseMany(list);
            }
        }
        assertRefused(1);
    }

    function test_AtGivingBack() public {
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.release(terms);
        arm();
        vm.prank(payee);
        escrow.returnPayment(terms, 1);
        assertRefused(1);
    }

    function test_AtAWithdrawal() public {
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.release(terms);
        arm();
        escrow.withdraw(address(zoo), feeRecipient);
        assertRefused(1);
        vm.assertEq(zoo.balanceOf(feeRecipient), FEE, "paid once");
    }

    /// The intruder is payer and payee's accomplice: with real power over other deals it still can't move them.
    function test_AParty_GainsNothingByReentering() public {
        Terms memory terms = zooTerms();
        terms.operator = address(intruder);
        Terms memory other = zooTerms();
        (other.ref, other.operator) = (other.ref + 1, address(intruder));
        fundedAs(other);
        bytes[] memory plans = new bytes[](3);
        plans[0] = abi.encodeCall(IEscrow.release, (other));
        plans[1] = abi.encodeCall(IEscrow.release, (terms));
        plans[2] = abi.encodeCall(IEscrow.cancelDeal, (terms));
        intruder.plan(plans);
        zoo.callOn(address(intruder));
        fundedAs(terms);
        vm.assertEq(intruder.succeeded(), 0, "refused");
        assertDeal(other, 0, 0, Status.Funded);
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_ACallback_ReadsTheStateAfterwards() public {
        Onlooker onlooker = new Onlooker(escrow);
        Terms memory terms = fundedAs(zooTerms());
        onlooker.lookAt(escrow.dealId(terms), address(zoo), feeRecipient);
        zoo.callOn(address(onlooker));
        vm.prank(payer);
        escrow.release(terms);
        (uint256 released, , Status status) = onlooker.deal();
        vm.assertEq(released, AMOUNT, "released already");
        vm.assertEq(uint256(status), uint256(Status.Settled), "settled already");
        vm.assertEq(onlooker.credit(), FEE, "fee already there");
        escrow.withdraw(address(zoo), feeRecipient);
        vm.assertEq(onlooker.credit(), 0, "credit already gone");
    }

    function test_Afterwards_TheDiamondIsOpenAgain() public {
        zoo.become(ZooToken.Kind.Reverts, 0);
        vm.expectRevert();
        vm.prank(payer);
        escrow.deposit(zooTerms());
        zoo.become(ZooToken.Kind.Honest, 0);
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.openDispute(terms, 0);
    }

    /// From now on every movement calls each function of the diamond that writes.
    function arm() private {
        intruder.plan(everyFunction());
        zoo.callOn(address(intruder));
    }

    function arm(bytes memory plan) private {
        bytes[] memory plans = new bytes[](1);
        plans[0] = plan;
        intruder.plan(plans);
        zoo.callOn(address(intruder));
    }

    function everyFunction() private view returns (bytes[] memory plans) {
        IDiamondLoupe.Facet[] memory facets = IDiamondLoupe(diamond).facets();
        plans = new bytes[](42);
        uint256 count;
        for (uint256 i; i < facets.length; i++) {
            for (uint256 j; j < facets[i].functionSelectors.length; j++) {
                bytes4 selector = facets[i].functionSelectors[j];
                if (reads(selector)) continue;
                // Zeros decode as any arguments, so that nothing but the guard can refuse; the longest take 18 words.
                plans[count++] = bytes.concat(selector, new bytes(576));
            }
        }
        vm.assertEq(count, 42, "functions to try");
    }

    function reads(bytes4 selector) private pure returns (bool) {
        return
            selector == IEscrow.dealId.selector ||
            selector == IEscrow.getDeal.selector ||
            selector == IEscrow.creditOf.selector ||
            selector == IEscrow.permit2.selector;
    }

    function assertRefused(uint256 movements) private view {
        vm.assertEq(intruder.called(), 42 * movements, "calls");
        vm.assertEq(intruder.reentered(), 42 * movements, "every one refused as re-entered");
    }

    function zooTerms() private view returns (Terms memory terms) {
        terms = usualTerms();
        terms.token = address(zoo);
    }
}
