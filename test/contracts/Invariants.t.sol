// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Deal, IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {Handler} from "./support/Handler.sol";
import {ZooToken} from "./support/ZooToken.sol";

/// The handler under a name of this file: the runner only knows contracts of test files.
contract World is Handler {
    constructor(
        IEscrow escrow,
        address[2] memory honest,
        ZooToken strange,
        ZooToken bent,
        address guardian
    ) Handler(escrow, honest, strange, bent, guardian) {}
}

// whatever anybody does, in any order, at any time, with tokens that turn hostile
// ├── per honest token: balance = held of its deals + credits + donations
// ├── per honest token: nobody but the fee recipient ever has a credit, however little gas a call had
// ├── per token that refuses but keeps its books: the same, and nothing that it calls back succeeds
// ├── per call: the laws of HandlerLedger (who gained what, whose tokens moved, which steps a deal takes)
// ├── no id ever opens twice
// ├── from every state: long enough waiting and one stranger's call empty the deal, to whom its terms say
// └── every verb was reached: the world is not empty
contract InvariantsTest is EscrowTest {
    Handler private handler;
    ZooToken private strange;
    ZooToken private bent;

    function setUp() public override {
        super.setUp();
        strange = new ZooToken();
        bent = new ZooToken();
        address[] memory list = new address[](2);
        (list[0], list[1]) = (address(strange), address(bent));
        vm.prank(owner);
        ITokenPolicy(diamond).allowTokens(list);
        handler = new World(escrow, [address(usdc), address(usdt)], strange, bent, guardian);
        for (uint256 i; i < 8; i++) handler.open(uint256(keccak256(abi.encode("first deals", i))));
    }

    /// Only the handler is called.
    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    function invariant_EveryLawHoldsAndEveryDealEnds() external {
        checkLaws();
        for (uint256 i; i < handler.touchedCount(); i++) checkExit(handler.dealAt(handler.lastTouched(i)));
        // and one of the others, in its turn, since time and tokens change around it
        uint256 count = handler.dealCount();
        if (count != 0) checkExit(handler.dealAt(uint256(keccak256(abi.encode(handler.clock(), count))) % count));
        checkBooks();
    }

    /// At the end of a sequence: every deal that is left, one after the other.
    function afterInvariant() external {
        for (uint256 i; i < handler.dealCount(); i++) checkExit(handler.dealAt(i));
        checkBooks();
    }

    function test_TheWorldReachesEveryVerb() public {
        uint256 seed = uint256(keccak256("world"));
        for (uint256 i; i < 1500; i++) {
            seed = uint256(keccak256(abi.encode("step", seed)));
            step(seed);
        }
        checkLaws();
        bytes4[18] memory verbs = [
            IEscrow.deposit.selector,
            IEscrow.depositWithPermit.selector,
            IEscrow.depositMany.selector,
            IEscrow.depositWithPermit2.selector,
            bytes4(0xbe5a7a50),
            bytes4(0x0022dd27),
            IEscrow.depositManyWithAuthorization.selector,
            IEscrow.depositManyWithPermit2.selector,
            IEscrow.release.selector,
            IEscrow.releasePart.selector,
            IEscrow.cancelDeal.selector,
            IEscrow.refundPart.selector,
            IEscrow.releaseMany.selector,
            IEscrow.cancelMany.selector,
            IEscrow.returnPayment.selector,
            IEscrow.withdraw.selector,
            IEscrow.openDispute.selector,
            IEscrow.withdrawDispute.selector
        ];
        for (uint256 i; i < verbs.length; i++) reached(verbs[i]);
        reached(IEscrow.resolve.selector);
        reached(IEscrow.settle.selector);
        reached(IEscrow.claim.selector);
        reached(IEscrow.reclaim.selector);
        vm.assertTrue(handler.intruder().called() > 0, "a token called back");
    }

    function step(uint256 seed) private {
        bytes4[15] memory moves = [
            handler.open.selector,
            handler.openMany.selector,
            handler.openBySignature.selector,
            handler.openManyBySignature.selector,
            handler.release.selector,
            handler.refund.selector,
            handler.releaseOrCancelMany.selector,
            handler.claimOrReclaim.selector,
            handler.giveBack.selector,
            handler.withdraw.selector,
            handler.dispute.selector,
            handler.resolve.selector,
            handler.settle.selector,
            handler.pass.selector,
            handler.happen.selector
        ];
        (bool ok, ) = address(handler).call(abi.encodeWithSelector(moves[(seed >> 16) % 15], seed));
        vm.assertTrue(ok, "the handler itself never reverts");
    }

    function reached(bytes4 verb) private view {
        // both sides of the message are the verb, so that a failure names it
        vm.assertEq(handler.done(verb) == 0 ? bytes32(verb) : bytes32(0), 0, "a verb was never reached");
    }

    function checkLaws() private view {
        vm.assertTrue(bytes(handler.breach()).length == 0, handler.breach());
        vm.assertEq(handler.intruder().succeeded(), 0, "callbacks that succeeded");
        checkBooks();
        address[2] memory honest = [address(usdc), address(usdt)];
        for (uint256 i; i < 2; i++) vm.assertEq(handler.otherCredits(honest[i]), 0, "a credit was forced");
    }

    function checkBooks() private view {
        address[3] memory honest = [address(usdc), address(usdt), address(strange)];
        for (uint256 i; i < honest.length; i++) {
            (uint256 held, uint256 credits) = handler.owed(honest[i]);
            uint256 balance = IERC20(honest[i]).balanceOf(diamond);
            vm.assertEq(balance, held + credits + handler.donated(honest[i]), "balance = held + credits + donations");
        }
    }

    /// Whatever the token is now: a stranger, after the last deadline, ends the deal.
    function checkExit(Terms memory terms) private {
        Status status = escrow.getDeal(escrow.dealId(terms)).status;
        if (status != Status.Funded && status != Status.Disputed) return;
        vm.warp(terms.resolutionDeadline + 1);
        bool releasing = terms.defaultOutcome == Outcome.Release;
        address winner = releasing ? terms.payee : terms.payer;
        Deal memory before = escrow.getDeal(escrow.dealId(terms));
        uint256 had = IERC20(terms.token).balanceOf(winner) + escrow.creditOf(terms.token, winner);
        vm.prank(address(0xdead));
        if (releasing) escrow.claim(terms);
        else escrow.reclaim(terms);
        Deal memory deal = escrow.getDeal(escrow.dealId(terms));
        vm.assertEq(uint256(deal.status), uint256(Status.Settled), "empty");
        vm.assertEq(deal.released + deal.refunded, terms.amount, "all of it");
        if (terms.token == address(bent)) return; // what it moves is not what it says
        uint256 fee = (terms.fee * deal.released) / terms.amount - (terms.fee * before.released) / terms.amount;
        uint256 held = terms.amount - before.released - before.refunded;
        uint256 has = IERC20(terms.token).balanceOf(winner) + escrow.creditOf(terms.token, winner);
        vm.assertEq(has - had, held - fee, "to whom the terms say");
    }
}
