// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDiamondLoupe} from "../../contracts/interfaces/IDiamond.sol";
import {DealId, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {Doors} from "./support/Doors.sol";
import {HandlerIntruder} from "./support/HandlerIntruder.sol";
import {ICallback, ZooToken} from "./support/ZooToken.sol";

/// Reads a deal and a credit while tokens move, and remembers what it saw first and whether that changed.
contract Onlooker is ICallback {
    IEscrow private immutable ESCROW;
    DealId private id;
    address private token;
    address private account;
    bytes32 public seen;
    bool public changed;

    constructor(IEscrow escrow) {
        ESCROW = escrow;
    }

    function lookAt(DealId id_, address token_, address account_) external {
        (id, token, account) = (id_, token_, account_);
        (seen, changed) = (0, false);
    }

    function look() public view returns (bytes32) {
        return keccak256(abi.encode(ESCROW.getDeal(id), ESCROW.creditOf(token, account)));
    }

    function onTokensMoved() external {
        if (seen == 0) seen = look();
        else if (seen != look()) changed = true;
    }
}

// a token that calls back
// ├── at every door where tokens move (each form of deposit, each payout, give back, withdraw): each function that the loupe
// │   lists is refused, but for those that only read
// ├── a party that re-enters through its own deal gains nothing
// ├── what a callback reads is the state afterwards, at every door where money leaves
// └── afterwards the diamond is open again, also after a revert
contract ReentrancyTest is Doors {
    uint256 private constant FUNCTIONS = 42;

    HandlerIntruder private intruder;

    function setUp() public override {
        super.setUp();
        intruder = new HandlerIntruder(diamond);
    }

    /// The deposits and payouts of Doors, giving back and withdrawing: beside reading and disputing, which move nothing, that is
    /// everything that the diamond itself can do.
    function test_TheDoorsAreAllDoors() public view {
        bytes4[] memory own = IDiamondLoupe(diamond).facetFunctionSelectors(diamond);
        uint256 moving;
        for (uint256 i; i < own.length; i++) {
            bool disputing = own[i] == IEscrow.openDispute.selector || own[i] == IEscrow.withdrawDispute.selector;
            if (!disputing && !reads(own[i])) moving++;
        }
        vm.assertEq(moving, DEPOSITS + PAYOUTS + 2, "doors");
    }

    function test_AtEveryDeposit() public {
        bytes[] memory plans = everyFunction();
        for (uint256 door; door < DEPOSITS; door++) {
            Terms memory terms = zooTerms();
            bytes memory data = depositBy(door, terms);
            intruder.plan(plans);
            zoo.callOn(address(intruder));
            vm.prank(payer);
            (bool ok, ) = diamond.call(data);
            vm.assertTrue(ok, "deposited all the same");
            assertDeal(terms, 0, 0, Status.Funded);
        }
        assertRefused(DEPOSITS + 1); // a permit calls the token twice
    }

    /// A push has a gas cap, so each function gets a push of its own.
    function test_AtEveryPayout() public {
        bytes[] memory plans = everyFunction();
        for (uint256 door; door < PAYOUTS; door++) {
            for (uint256 i; i < plans.length; i++) {
                (, address caller, bytes memory data) = payoutBy(door);
                arm(plans[i]);
                vm.prank(caller);
                (bool ok, ) = diamond.call(data);
                vm.assertTrue(ok, "paid all the same");
            }
        }
        assertRefused(PAYOUTS + 2); // a split pays both parties
        vm.assertEq(escrow.creditOf(address(zoo), payee) + escrow.creditOf(address(zoo), payer), 0, "pushed");
    }

    function test_AtGivingBack() public {
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.release(terms);
        intruder.plan(everyFunction());
        zoo.callOn(address(intruder));
        vm.prank(payee);
        escrow.returnPayment(terms, 1);
        assertRefused(1);
    }

    function test_AtAWithdrawal() public {
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.release(terms);
        intruder.plan(everyFunction());
        zoo.callOn(address(intruder));
        escrow.withdraw(address(zoo), feeRecipient);
        assertRefused(1);
        vm.assertEq(zoo.balanceOf(feeRecipient), FEE, "paid once");
    }

    /// The intruder is payer and payee's accomplice: with real power over other deals it still can't move them.
    function test_AParty_GainsNothingByReentering() public {
        Terms memory terms = zooTerms();
        terms.operator = address(intruder);
        Terms memory other = zooTerms();
        other.operator = address(intruder);
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
        Terms memory terms;
        address caller;
        bytes memory data;
        for (uint256 door; door < PAYOUTS + 2; door++) {
            (terms, caller, data) = payoutBy(door < PAYOUTS ? door : 0);
            if (door >= PAYOUTS) {
                vm.prank(payer);
                escrow.release(terms);
                caller = payee;
                data =
                    door == PAYOUTS
                        ? abi.encodeCall(IEscrow.returnPayment, (terms, 1))
                        : abi.encodeCall(IEscrow.withdraw, (address(zoo), feeRecipient));
            }
            onlooker.lookAt(escrow.dealId(terms), address(zoo), feeRecipient);
            zoo.callOn(address(onlooker));
            vm.prank(caller);
            (bool ok, ) = diamond.call(data);
            vm.assertTrue(ok && onlooker.seen() != 0, "it looked");
            vm.assertEq(onlooker.seen(), onlooker.look(), "as it is afterwards");
            vm.assertTrue(!onlooker.changed(), "from the first movement on");
        }
    }

    function test_Afterwards_TheDiamondIsOpenAgain() public {
        zoo.become(ZooToken.Kind.Reverts, 0);
        Terms memory refused = zooTerms();
        vm.expectRevert();
        vm.prank(payer);
        escrow.deposit(refused);
        zoo.become(ZooToken.Kind.Honest, 0);
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.openDispute(terms, 0);
    }

    function arm(bytes memory plan) private {
        bytes[] memory plans = new bytes[](1);
        plans[0] = plan;
        intruder.plan(plans);
        zoo.callOn(address(intruder));
    }

    function everyFunction() private view returns (bytes[] memory plans) {
        IDiamondLoupe.Facet[] memory facets = IDiamondLoupe(diamond).facets();
        plans = new bytes[](FUNCTIONS);
        uint256 count;
        for (uint256 i; i < facets.length; i++) {
            for (uint256 j; j < facets[i].functionSelectors.length; j++) {
                bytes4 selector = facets[i].functionSelectors[j];
                if (reads(selector)) continue;
                // Zeros decode as any arguments, so that nothing but the guard can refuse; the longest take 18 words.
                plans[count++] = bytes.concat(selector, new bytes(576));
            }
        }
        vm.assertEq(count, FUNCTIONS, "functions to try");
    }

    function reads(bytes4 selector) private pure returns (bool) {
        return
            selector == IEscrow.dealId.selector ||
            selector == IEscrow.getDeal.selector ||
            selector == IEscrow.creditOf.selector ||
            selector == IEscrow.permit2.selector;
    }

    function assertRefused(uint256 movements) private view {
        vm.assertEq(intruder.called(), FUNCTIONS * movements, "calls");
        vm.assertEq(intruder.reentered(), FUNCTIONS * movements, "every one refused as re-entered");
    }
}
