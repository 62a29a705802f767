// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Deal, DealId, IEscrow, Status, Terms} from "../../../contracts/interfaces/IEscrow.sol";
import {Vm} from "./Vm.sol";

/// The books beside the escrow: makes every call of the invariant tests, watches everybody's tokens and credits around
/// it, and notes the first law that was broken. It never reverts, so that nothing it saw is undone.
///
/// Around any call, for every person and token, with the states of the deals touched before (') and after:
///   worth = balance + credit
///   worth - worth' = - amount                      of deals that this person funded
///                    + released - released' - fee + fee'  of deals whose payee this is, fee = floor(F * released / A)
///                    + fee - fee'                  of deals whose fee recipient this is
///                    + refunded - refunded'        of deals whose payer this is
///                    - refunded + refunded'        of settled deals whose payee this is (it gives back)
///   balance < balance' only for whoever called or signed.
abstract contract HandlerLedger {
    struct Seen {
        Deal[] deals;
        uint256[] balances;
        uint256[] worths;
    }

    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    IEscrow internal escrow;

    Terms[] internal deals;
    address[] internal people;
    address[] internal tokens;
    mapping(address account => uint256) private places;
    /// Tokens that move without saying so, or say so without moving: their own amounts can't add up.
    mapping(address token => bool) public crooked;
    /// Sent to the diamond outside of any deal.
    mapping(address token => uint256) public donated;
    /// Held by deals that are no longer watched.
    mapping(address token => uint256) internal left;
    /// The first law that was broken; empty when none was.
    string public breach;
    /// How often a verb succeeded.
    mapping(bytes4 verb => uint256) public done;
    /// The deals of the last call.
    uint256[] public lastTouched;
    /// How often a deal took money in.
    mapping(DealId id => uint256) private openings;
    /// Who may have credits in an honest token.
    address internal feeRecipient;

    constructor(IEscrow escrow_) {
        escrow = escrow_;
    }

    function dealCount() external view returns (uint256) {
        return deals.length;
    }

    function dealAt(uint256 index) external view returns (Terms memory) {
        return deals[index];
    }

    function touchedCount() external view returns (uint256) {
        return lastTouched.length;
    }

    /// What is held by deals in `token`, and what waits as credits, in base units.
    function owed(address token) external view returns (uint256 held, uint256 credits) {
        held = left[token];
        for (uint256 i; i < deals.length; i++) {
            if (deals[i].token != token) continue;
            Deal memory deal = escrow.getDeal(escrow.dealId(deals[i]));
            if (deal.status == Status.Funded || deal.status == Status.Disputed) {
                held += deals[i].amount - deal.released - deal.refunded;
            }
        }
        for (uint256 i; i < people.length; i++) credits += escrow.creditOf(token, people[i]);
    }

    /// Credits in `token` of everybody but the fee recipient, in base units.
    function otherCredits(address token) external view returns (uint256 credits) {
        for (uint256 i; i < people.length; i++) {
            if (people[i] != feeRecipient) credits += escrow.creditOf(token, people[i]);
        }
    }

    function join(address person) internal {
        people.push(person);
        places[person] = people.length;
    }

    function fail(string memory law) internal {
        if (bytes(breach).length == 0) breach = law;
    }

    function one(uint256 deal) internal pure returns (uint256[] memory touched) {
        touched = new uint256[](1);
        touched[0] = deal;
    }

    /// Calls the diamond as `caller` and holds what happened against the laws.
    /// @param signer Whose tokens a signature may move, zero when nobody signed.
    /// @param touched Indexes of the deals that the call is about, each once.
    function act(
        address caller,
        address signer,
        uint256[] memory touched,
        bytes memory data,
        uint256 gasLimit
    ) internal returns (bool ok) {
        lastTouched = touched;
        Seen memory before = look(touched);
        vm.prank(caller);
        (ok, ) = address(escrow).call{gas: gasLimit}(data);
        if (ok) done[bytes4(data)]++;
        if (ok && opens(bytes4(data))) countOpenings(touched);
        Seen memory afterwards = look(touched);
        for (uint256 i; i < touched.length; i++) checkStep(deals[touched[i]], before.deals[i], afterwards.deals[i]);
        checkMoney(before, afterwards, touched, signer == address(0) ? caller : signer);
        checkConsent(before, afterwards, caller, signer);
    }

    function opens(bytes4 verb) private pure returns (bool) {
        return
            verb == IEscrow.deposit.selector ||
            verb == IEscrow.depositWithPermit.selector ||
            verb == 0x0022dd27 || // depositWithAuthorization, both forms
            verb == 0xbe5a7a50 ||
            verb == IEscrow.depositWithPermit2.selector ||
            verb == IEscrow.depositMany.selector ||
            verb == IEscrow.depositManyWithAuthorization.selector ||
            verb == IEscrow.depositManyWithPermit2.selector;
    }

    /// A deposit that was accepted opened every deal that it is about, and no deal twice in its life.
    function countOpenings(uint256[] memory touched) private {
        for (uint256 i; i < touched.length; i++) {
            DealId id = escrow.dealId(deals[touched[i]]);
            if (++openings[id] != 1) fail("an id opens once");
            if (escrow.getDeal(id).status != Status.Funded) fail("an accepted deposit is held");
        }
    }

    function look(uint256[] memory touched) private view returns (Seen memory seen) {
        seen.deals = new Deal[](touched.length);
        for (uint256 i; i < touched.length; i++) seen.deals[i] = escrow.getDeal(escrow.dealId(deals[touched[i]]));
        uint256 size = tokens.length * people.length;
        seen.balances = new uint256[](size);
        seen.worths = new uint256[](size);
        for (uint256 i; i < size; i++) {
            address token = tokens[i / people.length];
            address person = people[i % people.length];
            seen.balances[i] = IERC20(token).balanceOf(person);
            seen.worths[i] = seen.balances[i] + escrow.creditOf(token, person);
        }
    }

    /// A deal opens once, never loses what it counted, and what is over stays over.
    function checkStep(Terms memory terms, Deal memory a, Deal memory b) private {
        if (b.released < a.released || b.refunded < a.refunded) fail("amounts only grow");
        bool open = b.status == Status.Funded || b.status == Status.Disputed;
        if (open && b.released + b.refunded >= terms.amount) fail("an open deal holds something");
        if (b.status == Status.Settled) {
            if (b.released + b.refunded < terms.amount) fail("a settled deal holds nothing");
            if (b.released > terms.amount || b.refunded > terms.amount) fail("no more than the amount either way");
        } else if (!open && b.released + b.refunded != 0) fail("an unopened deal moved money");
        if (a.status == b.status) {
            if (a.status == Status.Settled && b.released != a.released) fail("a settled deal releases nothing");
            return;
        }
        if (a.status == Status.Cancelled || a.status == Status.Settled) fail("what is over stays over");
        if (b.status == Status.None) fail("an opened deal is never new again");
        if (a.status == Status.None && (b.status == Status.Disputed || b.status == Status.Settled)) {
            fail("a deal starts funded or closed");
        }
        if (a.status != Status.None && b.status == Status.Cancelled) fail("only unfunded deals are closed");
    }

    function checkMoney(Seen memory a, Seen memory b, uint256[] memory touched, address funder) private {
        int256[] memory expected = new int256[](a.worths.length);
        for (uint256 i; i < touched.length; i++) expect(expected, deals[touched[i]], a.deals[i], b.deals[i], funder);
        for (uint256 i; i < expected.length; i++) {
            if (crooked[tokens[i / people.length]]) continue;
            if (int256(b.worths[i]) - int256(a.worths[i]) != expected[i]) {
                fail("everybody has exactly what the deals say");
            }
        }
    }

    function expect(
        int256[] memory expected,
        Terms memory terms,
        Deal memory a,
        Deal memory b,
        address funder
    ) private view {
        uint256 row = rowOf(terms.token);
        int256 released = int256(b.released) - int256(a.released);
        int256 refunded = int256(b.refunded) - int256(a.refunded);
        int256 fee = int256((terms.fee * b.released) / terms.amount) - int256((terms.fee * a.released) / terms.amount);
        if (a.status == Status.None && b.status == Status.Funded) {
            expected[row + places[funder] - 1] -= int256(terms.amount);
        }
        expected[row + places[terms.payee] - 1] += released - fee;
        if (fee != 0) expected[row + places[terms.feeRecipient] - 1] += fee;
        expected[row + places[terms.payer] - 1] += refunded;
        if (a.status == Status.Settled) expected[row + places[terms.payee] - 1] -= refunded;
    }

    function checkConsent(Seen memory a, Seen memory b, address caller, address signer) private {
        for (uint256 i; i < a.balances.length; i++) {
            address person = people[i % people.length];
            if (b.balances[i] < a.balances[i] && person != caller && person != signer) {
                fail("nobody's tokens move unless he called or signed");
            }
        }
    }

    function rowOf(address token) private view returns (uint256 row) {
        while (tokens[row] != token) row++;
        row *= people.length;
    }
}
