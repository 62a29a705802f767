// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDelegates} from "../../../contracts/interfaces/IDelegates.sol";
import {Deal, DealId, IEscrow, Outcome, Status, Terms} from "../../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../../contracts/interfaces/ITokenPolicy.sol";
import {TestUSDC} from "../../../contracts/tokens/TestUSDC.sol";
import {HandlerIntruder} from "./HandlerIntruder.sol";
import {HandlerLedger} from "./HandlerLedger.sol";
import {HandlerSignatures} from "./HandlerSignatures.sol";
import {ZooToken} from "./ZooToken.sol";

/// Everybody in the invariant tests: two payers, two payees, an operator and its delegate, an arbiter, a fee recipient,
/// a stranger, the guardian, and tokens that turn hostile. Each function is one thing that one of them tries, drawn from
/// a seed: mostly what they may do, often what they may not.
/// No immutables: the runner knows its target by its code.
abstract contract Handler is HandlerLedger {
    uint256 private constant PLENTY = 3_000_000;
    uint256 private constant MOST_DEALS = 24;

    address private permit2;
    address private guardian;
    TestUSDC private usdc;
    ZooToken public strange;
    ZooToken public bent;
    HandlerIntruder public intruder;

    uint256[4] private keys; // of the payers, then of the payees
    address private operator = vm.addr(uint256(keccak256("handler operator")));
    address private arbiter = vm.addr(uint256(keccak256("handler arbiter")));
    address private stranger = vm.addr(uint256(keccak256("handler stranger")));

    /// The time of this world; set before every call, because a runner may forget `warp` between calls.
    uint256 public clock;
    uint256 private dice;
    uint256 private nonce;
    uint256 private refs;

    constructor(
        IEscrow escrow_,
        address[2] memory honest,
        ZooToken strange_,
        ZooToken bent_,
        address guardian_
    ) HandlerLedger(escrow_) {
        permit2 = escrow.permit2();
        guardian = guardian_;
        usdc = TestUSDC(honest[0]);
        strange = strange_;
        bent = bent_;
        intruder = new HandlerIntruder(address(escrow));
        clock = block.timestamp;
        tokens = [honest[0], honest[1], address(strange_), address(bent_)];
        crooked[address(bent_)] = true;
        for (uint256 i; i < 4; i++) {
            keys[i] = uint256(keccak256(abi.encode("handler party", i)));
            join(vm.addr(keys[i]));
        }
        join(operator);
        join(address(intruder));
        join(arbiter);
        feeRecipient = vm.addr(uint256(keccak256("handler fees")));
        join(feeRecipient);
        join(stranger);
        for (uint256 i; i < people.length; i++) endow(people[i]);
        vm.prank(operator);
        IDelegates(address(escrow)).setDelegate(address(intruder), true);
    }

    function endow(address person) private {
        for (uint256 i; i < tokens.length; i++) {
            TestUSDC(tokens[i]).mint(person, 1e24);
            vm.prank(person);
            // USDT returns nothing, so the call is made without decoding.
            (bool ok, ) = tokens[i].call(abi.encodeCall(IERC20.approve, (address(escrow), type(uint256).max)));
            vm.prank(person);
            (bool okToo, ) = tokens[i].call(abi.encodeCall(IERC20.approve, (permit2, type(uint256).max)));
            vm.assertTrue(ok && okToo, "approved");
        }
    }

    modifier turn(uint256 seed) {
        dice = seed;
        vm.warp(clock);
        _;
    }

    // ------------------------------------------------------------------------------------------------------ deposits

    function open(uint256 seed) external turn(seed) {
        uint256 i = oldOrNew();
        Terms memory terms = deals[i];
        address caller = roll(4) == 0 ? anybody() : terms.payer;
        if (roll(3) == 0 && caller == terms.payer) terms.payer = address(0); // by the offer
        bytes memory data =
            roll(4) == 0
                ? abi.encodeCall(IEscrow.depositWithPermit, (terms, clock, 27, bytes32(seed), bytes32(seed)))
                : abi.encodeCall(IEscrow.deposit, (terms));
        act(caller, address(0), one(i), data, PLENTY);
    }

    function openMany(uint256 seed) external turn(seed) {
        if (deals.length + 2 > MOST_DEALS) return;
        uint256 first = invent();
        uint256 second = invent();
        Terms[] memory list = new Terms[](2);
        if (roll(4) != 0) deals[second].token = deals[first].token;
        list[0] = deals[first];
        list[1] = deals[second];
        uint256[] memory touched = new uint256[](2);
        (touched[0], touched[1]) = (first, second);
        if (roll(8) == 0) list[1] = list[0];
        act(list[0].payer, address(0), touched, abi.encodeCall(IEscrow.depositMany, (list)), PLENTY);
    }

    function openBySignature(uint256 seed) external turn(seed) {
        uint256 i = oldOrNew();
        Terms memory terms = deals[i];
        DealId id = escrow.dealId(terms);
        uint256 key = keyOf(terms.payer);
        bool forged = roll(5) == 0;
        if (forged) key = keys[2];
        bytes memory data;
        if (terms.token == address(usdc) && roll(4) != 0) {
            bytes32 domain = usdc.DOMAIN_SEPARATOR();
            bytes memory signature = HandlerSignatures.authorization(
                key,
                domain,
                address(escrow),
                terms,
                id,
                clock + 1
            );
            data = authorized(terms, clock + 1, signature, roll(2) == 0);
        } else {
            uint256 n = roll(8) == 0 ? nonce : ++nonce; // now and then one that was used
            bytes memory signature = HandlerSignatures.permit2Deal(key, permit2, address(escrow), terms, n, clock);
            data = abi.encodeCall(IEscrow.depositWithPermit2, (terms, n, clock, signature));
        }
        if (act(anybody(), terms.payer, one(i), data, PLENTY) && forged) fail("a forged signature opened a deal");
    }

    /// A cart of two by one signature, of ERC-3009 or Permit2.
    function openManyBySignature(uint256 seed) external turn(seed) {
        if (deals.length + 2 > MOST_DEALS) return;
        uint256[] memory touched = new uint256[](2);
        (touched[0], touched[1]) = (invent(), invent());
        if (roll(2) == 0) deals[touched[0]].token = address(usdc); // the only one with 3009
        if (roll(8) != 0) (deals[touched[1]].token, deals[touched[1]].payer) = (deals[touched[0]].token, people[0]);
        if (roll(8) != 0) deals[touched[0]].payer = people[0];
        Terms[] memory list = new Terms[](2);
        (list[0], list[1]) = (deals[touched[0]], deals[touched[1]]);
        bytes32 hash = keccak256(abi.encode(escrow.dealId(list[0]), escrow.dealId(list[1])));
        uint256 wrong = roll(9); // 0: another key, 1: another order, 2: a unit less
        Terms memory sum = deals[touched[0]];
        sum.amount += list[1].amount - (wrong == 2 ? 1 : 0);
        if (wrong == 1) (list[0], list[1]) = (list[1], list[0]);
        uint256 key = wrong == 0 ? keys[2] : keyOf(sum.payer);
        bytes memory data;
        if (sum.token == address(usdc) && roll(4) != 0) {
            bytes32 domain = usdc.DOMAIN_SEPARATOR();
            bytes memory signature = HandlerSignatures.authorization(
                key,
                domain,
                address(escrow),
                sum,
                DealId.wrap(hash),
                clock + 1
            );
            data = abi.encodeCall(IEscrow.depositManyWithAuthorization, (list, 0, clock + 1, signature));
        } else {
            uint256 n = ++nonce;
            bytes memory signature = HandlerSignatures.permit2Cart(key, permit2, address(escrow), sum, hash, n, clock);
            data = abi.encodeCall(IEscrow.depositManyWithPermit2, (list, n, clock, signature));
        }
        if (act(anybody(), sum.payer, touched, data, PLENTY) && wrong < 3) fail("a forged signature opened a cart");
    }

    // ------------------------------------------------------------------------------------------------------- payouts

    function release(uint256 seed) external turn(seed) {
        uint256 i = some();
        Terms memory terms = deals[i];
        address caller = usually(terms.payer);
        bytes memory data =
            roll(2) == 0
                ? abi.encodeCall(IEscrow.releasePart, (terms, part(terms)))
                : abi.encodeCall(IEscrow.release, (terms));
        if (act(caller, address(0), one(i), data, gas_()) && caller != terms.payer) mustBeOperator(caller, terms);
    }

    function refund(uint256 seed) external turn(seed) {
        uint256 i = some();
        Terms memory terms = deals[i];
        address caller = usually(terms.payee);
        bytes memory data =
            roll(2) == 0
                ? abi.encodeCall(IEscrow.refundPart, (terms, part(terms)))
                : abi.encodeCall(IEscrow.cancelDeal, (terms));
        bool unfunded = escrow.getDeal(escrow.dealId(terms)).status == Status.None;
        if (!act(caller, address(0), one(i), data, gas_()) || caller == terms.payee) return;
        if (!unfunded) mustBeOperator(caller, terms);
        else if (!isOperator(caller)) fail("a stranger closed a deal");
    }

    function releaseOrCancelMany(uint256 seed) external turn(seed) {
        if (deals.length == 0) return;
        uint256 size = 1 + roll(deals.length < 4 ? deals.length : 4);
        uint256 start = roll(deals.length);
        Terms[] memory list = new Terms[](size + 1);
        uint256[] memory touched = new uint256[](size);
        for (uint256 i; i < size; i++) {
            touched[i] = (start + i) % deals.length;
            list[i] = deals[touched[i]];
        }
        list[size] = list[0]; // one stands twice
        bytes memory data =
            roll(2) == 0 ? abi.encodeCall(IEscrow.releaseMany, (list)) : abi.encodeCall(IEscrow.cancelMany, (list));
        act(usually(list[0].payer), address(0), touched, data, gas_());
    }

    function claimOrReclaim(uint256 seed) external turn(seed) {
        uint256 i = some();
        Terms memory terms = deals[i];
        Status status = escrow.getDeal(escrow.dealId(terms)).status;
        bool claiming = (terms.defaultOutcome == Outcome.Release) == (roll(8) != 0);
        bytes memory data =
            claiming ? abi.encodeCall(IEscrow.claim, (terms)) : abi.encodeCall(IEscrow.reclaim, (terms));
        if (!act(anybody(), address(0), one(i), data, gas_())) return;
        if (clock <= terms.settlementDeadline) fail("the default outcome waits for the settlement deadline");
        if (status == Status.Disputed && clock <= terms.resolutionDeadline) fail("the arbiter has its time");
        if (claiming != (terms.defaultOutcome == Outcome.Release)) fail("the default outcome is the terms'");
    }

    function giveBack(uint256 seed) external turn(seed) {
        uint256 i = some();
        Terms memory terms = deals[i];
        address caller = roll(4) == 0 ? anybody() : terms.payee;
        bytes memory data = abi.encodeCall(IEscrow.returnPayment, (terms, 1 + roll(terms.amount)));
        act(caller, address(0), one(i), data, PLENTY);
    }

    function withdraw(uint256 seed) external turn(seed) {
        address token = tokens[roll(tokens.length)];
        address account = roll(2) == 0 ? feeRecipient : people[roll(people.length)];
        bytes memory data = abi.encodeCall(IEscrow.withdraw, (token, account));
        act(anybody(), address(0), new uint256[](0), data, gas_());
    }

    // ------------------------------------------------------------------------------------------------------ disputes

    function dispute(uint256 seed) external turn(seed) {
        uint256 i = roll(2) == 0 ? someDisputed() : some();
        Terms memory terms = deals[i];
        address caller = roll(4) == 0 ? anybody() : (roll(2) == 0 ? terms.payer : terms.payee);
        bool disputed = escrow.getDeal(escrow.dealId(terms)).status == Status.Disputed;
        bytes memory data =
            disputed == (roll(4) != 0)
                ? abi.encodeCall(IEscrow.withdrawDispute, (terms))
                : abi.encodeCall(IEscrow.openDispute, (terms, bytes32(seed)));
        if (!act(caller, address(0), one(i), data, PLENTY)) return;
        if (caller != terms.payer && caller != terms.payee) fail("disputes are the parties'");
        if (terms.arbiter == address(0)) fail("no dispute without an arbiter");
    }

    function resolve(uint256 seed) external turn(seed) {
        uint256 i = roll(2) == 0 ? someDisputed() : some();
        Terms memory terms = deals[i];
        address caller = roll(4) == 0 ? anybody() : arbiter;
        bytes memory data = abi.encodeCall(IEscrow.resolve, (terms, roll(terms.amount + 1)));
        if (!act(caller, address(0), one(i), data, gas_())) return;
        if (caller != arbiter || terms.arbiter != arbiter) fail("only the arbiter resolves");
        if (clock > terms.resolutionDeadline) fail("the arbiter's time ends");
    }

    function settle(uint256 seed) external turn(seed) {
        uint256 i = some();
        Terms memory terms = deals[i];
        DealId id = escrow.dealId(terms);
        Deal memory deal = escrow.getDeal(id);
        uint256 held = part(terms);
        uint256 toPayee = held == 0 ? 0 : roll(held + 1);
        uint256[5] memory numbers = [deal.released, deal.refunded, toPayee, 0, clock];
        unchecked {
            numbers[3] = terms.amount - deal.released - deal.refunded - toPayee;
        }
        bool forged = roll(4) == 0;
        if (forged) numbers[roll(5)] ^= 1;
        bytes memory ofPayer = HandlerSignatures.settlement(keyOf(terms.payer), address(escrow), id, numbers);
        bytes memory ofPayee = HandlerSignatures.settlement(keyOf(terms.payee), address(escrow), id, numbers);
        bytes memory data = abi.encodeCall(IEscrow.settle, (terms, toPayee, clock, ofPayer, ofPayee));
        if (act(anybody(), address(0), one(i), data, gas_()) && forged) fail("a forged settlement was accepted");
    }

    // ---------------------------------------------------------------------------------------------- the world around

    function pass(uint256 seed) external turn(seed) {
        uint256 i = roll(deals.length + 1);
        if (i == deals.length) {
            clock += roll(2 hours);
            return;
        }
        uint256[3] memory ends = [deals[i].depositDeadline, deals[i].settlementDeadline, deals[i].resolutionDeadline];
        uint256 to = ends[roll(3)] + roll(3) - 1;
        if (to > clock) clock = to;
    }

    /// Something around the deals changes.
    function happen(uint256 seed) external turn(seed) {
        uint256 what = roll(8);
        if (what < 3) turnStrange();
        else if (what < 5) turnBent();
        else if (what == 5) changePolicy();
        else if (what == 6) changeDelegate();
        else donate();
        if (deals.length + 2 > MOST_DEALS && roll(3) != 0) forget();
    }

    /// The strange token keeps its books, but refuses, calls back, floods or burns gas.
    function turnStrange() private {
        uint256 mood = roll(8);
        if (mood == 0) strange.become(ZooToken.Kind.Reverts, 0);
        else if (mood == 1) strange.become(ZooToken.Kind.BurnsGas, 0);
        else if (mood == 2) strange.become(ZooToken.Kind.FloodsReturnData, 0);
        else if (mood == 3) strange.become(ZooToken.Kind.ReturnsNothing, 0);
        else if (mood == 4) strange.block_(people[roll(people.length)]);
        else if (mood == 5) intrude();
        else strange.become(ZooToken.Kind.Honest, 0);
    }

    /// The bent token lies about what it moved, or takes balances away.
    function turnBent() private {
        uint256 mood = roll(6);
        if (mood == 0) bent.become(ZooToken.Kind.TakesFee, 0);
        else if (mood == 1) bent.become(ZooToken.Kind.ReturnsFalse, 0);
        else if (mood == 2) bent.become(ZooToken.Kind.ReturnsShort, 0);
        else if (mood == 3) bent.shrink(address(escrow), bent.balanceOf(address(escrow)) / 2);
        else bent.become(ZooToken.Kind.Honest, 0);
    }

    function donate() private {
        uint256 amount = roll(1000);
        vm.prank(stranger);
        usdc.transfer(address(escrow), amount);
        donated[address(usdc)] += amount;
    }

    function changePolicy() private {
        address[] memory list = new address[](1);
        list[0] = tokens[roll(tokens.length)];
        vm.prank(guardian);
        if (roll(3) == 0) ITokenPolicy(address(escrow)).pauseDeposits(list);
        else ITokenPolicy(address(escrow)).resumeDeposits(list);
    }

    /// A new age: all deals are left as they are, for new ones.
    function forget() private {
        for (uint256 i; i < tokens.length; i++) {
            (uint256 held, ) = this.owed(tokens[i]);
            left[tokens[i]] = held;
        }
        delete deals;
        delete lastTouched;
    }

    function changeDelegate() private {
        vm.prank(operator);
        IDelegates(address(escrow)).setDelegate(address(intruder), roll(3) != 0);
    }

    // --------------------------------------------------------------------------------------------------------- draws

    /// A 3009 deposit in one of its two forms.
    function authorized(
        Terms memory terms,
        uint256 validBefore,
        bytes memory signature,
        bool asBytes
    ) private pure returns (bytes memory) {
        if (asBytes) return abi.encodeWithSelector(0xbe5a7a50, terms, 0, validBefore, signature);
        (bytes32 r, bytes32 s) = (bytes32(0), bytes32(0));
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        return abi.encodeWithSelector(0x0022dd27, terms, 0, validBefore, uint8(signature[64]), r, s);
    }

    /// The intruder, who may well be the operator's delegate, tries to move another deal from inside a transfer.
    function intrude() private {
        if (deals.length == 0) return;
        bytes[] memory plans = new bytes[](4);
        plans[0] = abi.encodeCall(IEscrow.release, (deals[some()]));
        plans[1] = abi.encodeCall(IEscrow.cancelDeal, (deals[some()]));
        plans[2] = abi.encodeCall(IEscrow.deposit, (deals[some()]));
        plans[3] = abi.encodeCall(IEscrow.withdraw, (address(usdc), feeRecipient));
        intruder.plan(plans);
        strange.callOn(address(intruder));
    }

    function mustBeOperator(address caller, Terms memory terms) private {
        if (!isOperator(caller)) fail("only the conceding party or the operator");
        else if (clock > terms.settlementDeadline) fail("the operator's time ends");
    }

    function isOperator(address caller) private view returns (bool) {
        return caller == operator || IDelegates(address(escrow)).isDelegate(operator, caller);
    }

    function roll(uint256 sides) private returns (uint256) {
        dice = uint256(keccak256(abi.encode(dice)));
        return dice % sides;
    }

    /// Enough gas, or now and then too little.
    function gas_() private returns (uint256) {
        return roll(4) == 0 ? 30_000 + roll(300_000) : PLENTY;
    }

    function anybody() private returns (address) {
        return people[roll(people.length)];
    }

    function usually(address party) private returns (address) {
        uint256 side = roll(8);
        if (side == 0) return anybody();
        if (side == 1) return address(intruder);
        return side < 5 ? party : operator;
    }

    /// One of the deals; with luck one that holds money.
    function some() private returns (uint256 i) {
        if (deals.length == 0) return invent();
        for (uint256 tries; tries < 3; tries++) {
            i = roll(deals.length);
            Status status = escrow.getDeal(escrow.dealId(deals[i])).status;
            if (status == Status.Funded || status == Status.Disputed) return i;
        }
    }

    /// One of the deals; a disputed one when there is any.
    function someDisputed() private returns (uint256 i) {
        if (deals.length == 0) return invent();
        uint256 start = roll(deals.length);
        for (uint256 n; n < deals.length; n++) {
            i = (start + n) % deals.length;
            if (escrow.getDeal(escrow.dealId(deals[i])).status == Status.Disputed) return i;
        }
    }

    function oldOrNew() private returns (uint256) {
        return roll(5) == 0 ? some() : invent();
    }

    /// Mostly a part of what is held, sometimes one too many.
    function part(Terms memory terms) private returns (uint256) {
        Deal memory deal = escrow.getDeal(escrow.dealId(terms));
        if (deal.released + deal.refunded >= terms.amount) return roll(3);
        return 1 + roll(terms.amount - deal.released - deal.refunded + (roll(8) == 0 ? 1 : 0));
    }

    function keyOf(address party) private view returns (uint256) {
        for (uint256 i; i < 4; i++) if (people[i] == party) return keys[i];
        return keys[3];
    }

    /// New terms between the parties, in any token, with any fee; an old deal's index once there are many.
    function invent() private returns (uint256) {
        if (deals.length == MOST_DEALS) return roll(MOST_DEALS);
        Terms memory terms;
        terms.ref = ++refs;
        terms.operator = operator;
        terms.payer = people[roll(2)];
        terms.payee = people[2 + roll(2)];
        terms.token = tokens[roll(tokens.length)];
        terms.amount = roll(2) == 0 ? 1 + roll(30) : 1 + roll(1e20);
        terms.fee = roll(3) == 0 ? 0 : roll(terms.amount + 1);
        terms.feeRecipient = feeRecipient;
        terms.arbiter = roll(4) == 0 ? address(0) : arbiter;
        terms.depositDeadline = clock + 1 hours + roll(2 days);
        terms.settlementDeadline = terms.depositDeadline + 1 hours + roll(5 days);
        terms.resolutionDeadline = terms.settlementDeadline + 1 hours + roll(5 days);
        terms.defaultOutcome = Outcome(roll(2));
        deals.push(terms);
        return deals.length - 1;
    }
}
