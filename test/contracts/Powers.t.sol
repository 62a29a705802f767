// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IDelegates} from "../../contracts/interfaces/IDelegates.sol";
import {
    FacetCut,
    FacetCutAction,
    IDiamondCut,
    IDiamondLoupe,
    IOwnership
} from "../../contracts/interfaces/IDiamond.sol";
import {IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

/// What an owner gone bad would cut in: a facet that sends tokens away.
contract Thief {
    function steal(address token, address to, uint256 amount) external {
        (bool ok, ) = token.call(abi.encodeWithSignature("transfer(address,uint256)", to, amount));
        require(ok, "no tokens");
    }
}

// a key in the wrong hands
// ├── the operator's: this deal's payee or payer, in time and undisputed; never elsewhere, never later
// ├── a delegate's: the same until it is dropped, and it can't name others
// ├── the arbiter's: any split of a disputed deal between the two, in time; nothing of an undisputed one
// ├── the guardian's: no new deposits; nothing that is held
// ├── the owner's, inside the delay: nothing, and everybody can leave meanwhile
// ├── the owner's, after the delay: whatever a facet can do (which is why the delay and finalize exist)
// └── the owner's, after finalize: the allow-list and the guardian only
contract PowersTest is EscrowTest {
    uint256 private constant DELAY = 7 days;

    function test_AnOperatorGoneBad_OnlyChoosesBetweenPayeeAndPayer() public {
        Terms memory terms = usualTerms();
        uint256 before = usdc.balanceOf(payer);
        for (uint256 i; i < 2; i++) {
            terms.ref++;
            fundedAs(terms);
            vm.prank(operator);
            if (i == 0) escrow.release(terms);
            else escrow.cancelDeal(terms);
        }
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "it may release");
        vm.assertEq(usdc.balanceOf(payer), before - AMOUNT, "it may refund");
        vm.assertEq(usdc.balanceOf(operator), 0, "it gains nothing");
        terms = funded();
        Terms memory redirected = usualTerms();
        redirected.payee = stranger;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.None, Status.Funded));
        vm.prank(operator);
        escrow.release(redirected);
        vm.prank(payer);
        escrow.openDispute(terms, 0);
        bytes[4] memory calls = [
            abi.encodeCall(IEscrow.release, (terms)),
            abi.encodeCall(IEscrow.cancelDeal, (terms)),
            abi.encodeCall(IEscrow.resolve, (terms, 0)),
            abi.encodeCall(IEscrow.withdrawDispute, (terms))
        ];
        for (uint256 i; i < 4; i++) refused(operator, calls[i], "a dispute takes its power");
        vm.prank(payer);
        escrow.withdrawDispute(terms);
        vm.warp(terms.settlementDeadline + 1);
        for (uint256 i; i < 2; i++) refused(operator, calls[i], "its time is over");
    }

    function test_ADelegateGoneBad_IsDropped() public {
        Terms memory terms = funded();
        vm.prank(operator);
        IDelegates(diamond).setDelegate(stranger, true);
        vm.prank(stranger);
        IDelegates(diamond).setDelegate(payee, true); // names a delegate of its own, not of the operator
        vm.prank(stranger);
        escrow.releasePart(terms, 1);
        vm.prank(operator);
        IDelegates(diamond).setDelegate(stranger, false);
        refused(stranger, abi.encodeCall(IEscrow.release, (terms)), "dropped");
        refused(payee, abi.encodeCall(IEscrow.release, (terms)), "never named by the operator");
    }

    function test_AnArbiterGoneBad_SplitsDisputedDealsOnly() public {
        Terms memory terms = funded();
        bytes[6] memory calls = [
            abi.encodeCall(IEscrow.resolve, (terms, AMOUNT)),
            abi.encodeCall(IEscrow.release, (terms)),
            abi.encodeCall(IEscrow.cancelDeal, (terms)),
            abi.encodeCall(IEscrow.openDispute, (terms, 0)),
            abi.encodeCall(IEscrow.claim, (terms)),
            abi.encodeCall(IEscrow.settle, (terms, AMOUNT, START, "", ""))
        ];
        for (uint256 i; i < 6; i++) refused(arbiter, calls[i], "no dispute, no power");
        vm.prank(payer);
        escrow.openDispute(terms, 0);
        uint256 before = usdc.balanceOf(payer);
        vm.prank(arbiter);
        escrow.resolve(terms, AMOUNT / 2);
        vm.assertEq(
            usdc.balanceOf(payee) + usdc.balanceOf(payer) - before,
            AMOUNT - FEE / 2,
            "to the two, and the fee"
        );
        vm.assertEq(usdc.balanceOf(arbiter), 0, "not to the arbiter");
    }

    function test_AGuardianGoneBad_StopsDepositsOnly() public {
        Terms memory terms = funded();
        bytes[5] memory calls = [
            abi.encodeCall(IEscrow.release, (terms)),
            abi.encodeCall(IEscrow.cancelDeal, (terms)),
            abi.encodeCall(ITokenPolicy.disallowTokens, (only(address(usdc)))),
            abi.encodeCall(ITokenPolicy.setGuardian, (stranger)),
            abi.encodeCall(IDiamondCut.finalize, ())
        ];
        for (uint256 i; i < 5; i++) refused(guardian, calls[i], "not the guardian's");
        vm.prank(guardian);
        ITokenPolicy(diamond).pauseDeposits(only(address(usdc)));
        Terms memory other = usualTerms();
        other.ref++;
        refused(payer, abi.encodeCall(IEscrow.deposit, (other)), "paused");
        vm.prank(guardian);
        ITokenPolicy(diamond).resumeDeposits(only(address(usdc)));
        fundedAs(other);
        vm.prank(payee);
        escrow.cancelDeal(other);
        vm.warp(terms.settlementDeadline + 1);
        escrow.claim(terms);
        escrow.withdraw(address(usdc), feeRecipient);
        vm.assertEq(usdc.balanceOf(diamond), 0, "everything left");
    }

    function test_AnOwnerGoneBad_WaitsWhileEverybodyLeaves() public {
        TimelockController timelock = timelocked();
        Terms memory terms = funded();
        bytes memory data = abi.encodeCall(IDiamondCut.diamondCut, (theft(), address(0), ""));
        bytes[8] memory calls = [
            data,
            abi.encodeCall(IDiamondCut.finalize, ()),
            abi.encodeCall(ITokenPolicy.allowTokens, (only(address(usdc)))),
            abi.encodeCall(ITokenPolicy.disallowTokens, (only(address(usdc)))),
            abi.encodeCall(ITokenPolicy.pauseDeposits, (only(address(usdc)))),
            abi.encodeCall(ITokenPolicy.setGuardian, (owner)),
            abi.encodeCall(IOwnership.transferOwnership, (owner)),
            abi.encodeCall(IEscrow.release, (terms))
        ];
        for (uint256 i; i < calls.length; i++) {
            refused(owner, calls[i], "the key alone is not the owner");
            vm.prank(owner);
            timelock.schedule(diamond, 0, calls[i], 0, 0, DELAY);
        }
        vm.warp(block.timestamp + DELAY - 1);
        for (uint256 i; i < calls.length; i++) {
            vm.expectRevert();
            vm.prank(owner);
            timelock.execute(diamond, 0, calls[i], 0, 0);
        }
        refused(owner, abi.encodeCall(Thief.steal, (address(usdc), owner, 1)), "nothing is cut in yet");
        vm.assertEq(usdc.balanceOf(diamond), AMOUNT, "nothing moved");
        vm.prank(payer);
        escrow.release(terms);
        escrow.withdraw(address(usdc), feeRecipient);
        vm.assertEq(usdc.balanceOf(diamond), 0, "everybody left");
        vm.expectRevert();
        vm.prank(owner);
        timelock.schedule(diamond, 0, data, 0, "sooner", DELAY - 1);
    }

    /// Said plainly in the README: until `finalize`, the delay is the only protection from the owner.
    function test_AnOwnerGoneBad_AfterTheDelayTakesWhatStayed() public {
        TimelockController timelock = timelocked();
        funded();
        bytes memory data = abi.encodeCall(IDiamondCut.diamondCut, (theft(), address(0), ""));
        vm.prank(owner);
        timelock.schedule(diamond, 0, data, 0, 0, DELAY);
        vm.warp(block.timestamp + DELAY);
        vm.prank(owner);
        timelock.execute(diamond, 0, data, 0, 0);
        Thief(diamond).steal(address(usdc), stranger, AMOUNT);
        vm.assertEq(usdc.balanceOf(stranger), AMOUNT, "this is what the delay is for");
    }

    function test_AnOwnerGoneBad_AfterFinalizeChangesNoCode() public {
        Terms memory terms = funded();
        vm.prank(owner);
        IDiamondCut(diamond).finalize();
        refused(owner, abi.encodeCall(IDiamondCut.diamondCut, (theft(), address(0), "")), "no cut any more");
        refused(owner, abi.encodeCall(IEscrow.release, (terms)), "no power over deals");
        refused(owner, abi.encodeCall(IEscrow.cancelDeal, (terms)), "no power over deals");
        vm.prank(owner);
        ITokenPolicy(diamond).disallowTokens(only(address(usdc)));
        vm.prank(payer);
        escrow.release(terms);
    }

    /// Facets hold no code that runs other code or ends the diamond: no DELEGATECALL, CALLCODE or SELFDESTRUCT but for the
    /// cut's initialisation.
    function test_NoFacet_DelegatesOrEndsTheDiamond() public view {
        address[] memory facets = IDiamondLoupe(diamond).facetAddresses();
        address cutter = IDiamondLoupe(diamond).facetAddress(IDiamondCut.diamondCut.selector);
        for (uint256 i; i < facets.length; i++) {
            uint256 delegating = facets[i] == cutter || facets[i] == diamond ? 1 : 0;
            vm.assertEq(count(facets[i].code, 0xf4), delegating, "DELEGATECALL");
            vm.assertEq(count(facets[i].code, 0xf2), 0, "CALLCODE");
            vm.assertEq(count(facets[i].code, 0xff), 0, "SELFDESTRUCT");
        }
    }

    /// Opcodes, constants pushed and the metadata at the end left out.
    function count(bytes memory code, uint8 opcode) private pure returns (uint256 found) {
        uint256 tail = uint256(uint8(code[code.length - 2])) * 256 + uint8(code[code.length - 1]);
        for (uint256 i; i < code.length - 2 - tail; i++) {
            uint8 op = uint8(code[i]);
            if (op == opcode) found++;
            if (op >= 0x60 && op <= 0x7f) i += op - 0x5f;
        }
    }

    function timelocked() private returns (TimelockController timelock) {
        address[] memory proposers = only(owner);
        timelock = new TimelockController(DELAY, proposers, proposers, address(0));
        vm.prank(owner);
        IOwnership(diamond).transferOwnership(address(timelock));
        bytes memory accept = abi.encodeCall(IOwnership.acceptOwnership, ());
        vm.prank(owner);
        timelock.schedule(diamond, 0, accept, 0, 0, DELAY);
        vm.warp(START + DELAY);
        vm.prank(owner);
        timelock.execute(diamond, 0, accept, 0, 0);
        vm.warp(START);
    }

    function theft() private returns (FacetCut[] memory cuts) {
        cuts = new FacetCut[](1);
        cuts[0] = FacetCut(address(new Thief()), FacetCutAction.Add, new bytes4[](1));
        cuts[0].functionSelectors[0] = Thief.steal.selector;
    }

    function refused(address caller, bytes memory data, string memory why) private {
        vm.prank(caller);
        (bool ok, ) = diamond.call(data);
        vm.assertTrue(!ok, why);
    }

    function only(address one) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = one;
    }
}
