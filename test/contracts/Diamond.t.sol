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
import {IEscrow} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

/// A facet and an initialisation for the tests of cuts.
contract Extra {
    error Broken();

    function extra() external pure returns (uint256) {
        return 1;
    }

    function extraToo() external pure returns (uint256) {
        return 2;
    }

    function breakIt() external pure {
        revert Broken();
    }

    function breakSilently() external pure {
        assembly {
            revert(0, 0)
        }
    }
}

// the diamond
// ├── loupe: every function once, those of the diamond under its own address
// ├── cut: add, replace, remove; each wrong one reverts; functions of the diamond itself can't be cut
// ├── cut: runs the initialisation, bubbles its reason, owner only; an initialisation runs once
// ├── finalize: no cut ever again
// ├── ownership: two steps, and a timelock as owner waits its delay
// ├── unknown selectors and ether: it should revert
// └── facets called directly: whatever needs an owner or a guardian refuses, the rest concerns nobody
contract DiamondTest is EscrowTest {
    IDiamondLoupe private loupe;
    IDiamondCut private cutter;
    Extra private facet;

    function setUp() public override {
        super.setUp();
        loupe = IDiamondLoupe(diamond);
        cutter = IDiamondCut(diamond);
        facet = new Extra();
    }

    function test_Loupe_ListsEveryFunctionOnce() public view {
        IDiamondLoupe.Facet[] memory facets = loupe.facets();
        vm.assertEq(facets.length, 6, "facets");
        vm.assertEq(facets[0].facetAddress, diamond, "the diamond itself first");
        vm.assertEq(facets[0].functionSelectors.length, 26, "its own functions");
        uint256 total;
        for (uint256 i; i < facets.length; i++) {
            vm.assertEq(loupe.facetAddresses()[i], facets[i].facetAddress, "addresses");
            bytes4[] memory selectors = facets[i].functionSelectors;
            vm.assertEq(loupe.facetFunctionSelectors(facets[i].facetAddress).length, selectors.length, "selectors");
            for (uint256 j; j < selectors.length; j++) {
                vm.assertEq(loupe.facetAddress(selectors[j]), facets[i].facetAddress, "facet of the selector");
                total++;
            }
        }
        vm.assertEq(total, 46, "functions in all");
        vm.assertEq(loupe.facetAddress(0xffffffff), address(0), "unknown");
    }

    function test_SupportsTheStandardsInterfaces() public {
        vm.assertTrue(answersFor(0x01ffc9a7), "ERC-165");
        vm.assertTrue(answersFor(0x48e2b093), "loupe");
        vm.assertTrue(answersFor(0x7f5828d0), "ERC-173");
        vm.assertTrue(answersFor(0x1f931c1c), "cut");
        vm.assertTrue(!answersFor(0xffffffff), "anything");
        vm.prank(owner);
        cutter.finalize();
        vm.assertTrue(!answersFor(0x1f931c1c), "no cut any more");
    }

    function test_Cut_AddsReplacesAndRemoves() public {
        apply_(FacetCutAction.Add, address(facet), Extra.extra.selector);
        apply_(FacetCutAction.Add, address(facet), Extra.extraToo.selector);
        vm.assertEq(Extra(diamond).extra(), 1, "added");
        Extra other = new Extra();
        apply_(FacetCutAction.Replace, address(other), Extra.extra.selector);
        vm.assertEq(loupe.facetAddress(Extra.extra.selector), address(other), "replaced");
        apply_(FacetCutAction.Remove, address(0), Extra.extra.selector);
        vm.expectRevert(abi.encodeWithSignature("FunctionUnknown(bytes4)", Extra.extra.selector));
        Extra(diamond).extra();
        vm.assertEq(Extra(diamond).extraToo(), 2, "the moved selector is still served");
        apply_(FacetCutAction.Remove, address(0), Extra.extraToo.selector);
        test_Loupe_ListsEveryFunctionOnce();
    }

    function test_RevertWhen_ACutIsWrong() public {
        bytes4 known = IOwnership.owner.selector;
        address serving = loupe.facetAddress(known);
        refuses(
            FacetCutAction.Add,
            serving,
            known,
            abi.encodeWithSelector(IDiamondCut.SelectorTaken.selector, known, serving)
        );
        refuses(
            FacetCutAction.Replace,
            serving,
            known,
            abi.encodeWithSelector(IDiamondCut.SameFacet.selector, known, serving)
        );
        bytes4 unknown = Extra.extra.selector;
        bytes memory isUnknown = abi.encodeWithSelector(IDiamondCut.SelectorUnknown.selector, unknown);
        refuses(FacetCutAction.Replace, address(facet), unknown, isUnknown);
        refuses(FacetCutAction.Remove, address(0), unknown, isUnknown);
        refuses(
            FacetCutAction.Remove,
            serving,
            known,
            abi.encodeWithSelector(IDiamondCut.RemovalNamesFacet.selector, serving)
        );
        refuses(
            FacetCutAction.Add,
            stranger,
            unknown,
            abi.encodeWithSelector(IDiamondCut.FacetWithoutCode.selector, stranger)
        );
        FacetCut[] memory cuts = new FacetCut[](1);
        cuts[0] = FacetCut(address(facet), FacetCutAction.Add, new bytes4[](0));
        vm.expectRevert(abi.encodeWithSelector(IDiamondCut.NoSelectors.selector, address(facet)));
        vm.prank(owner);
        cutter.diamondCut(cuts, address(0), "");
    }

    function test_RevertWhen_AFunctionOfTheDiamondIsCut() public {
        bytes4[] memory own = loupe.facetFunctionSelectors(diamond);
        for (uint256 i; i < own.length; i++) {
            bytes memory reason = abi.encodeWithSelector(IDiamondCut.FunctionImmutable.selector, own[i]);
            refuses(FacetCutAction.Replace, address(facet), own[i], reason);
            refuses(FacetCutAction.Remove, address(0), own[i], reason);
        }
    }

    function test_RevertWhen_AnybodyElseCuts() public {
        FacetCut[] memory cuts = single(FacetCutAction.Add, address(facet), Extra.extra.selector);
        vm.expectRevert(abi.encodeWithSelector(IOwnership.NotOwner.selector, stranger, owner));
        vm.prank(stranger);
        cutter.diamondCut(cuts, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(IOwnership.NotOwner.selector, stranger, owner));
        vm.prank(stranger);
        cutter.finalize();
    }

    function test_Cut_RunsTheInitialisationAndBubblesItsReason() public {
        FacetCut[] memory cuts = single(FacetCutAction.Add, address(facet), Extra.extra.selector);
        vm.expectRevert(Extra.Broken.selector);
        vm.prank(owner);
        cutter.diamondCut(cuts, address(facet), abi.encodeCall(Extra.breakIt, ()));
        vm.expectRevert(abi.encodeWithSelector(IDiamondCut.InitFailed.selector, address(facet)));
        vm.prank(owner);
        cutter.diamondCut(cuts, address(facet), abi.encodeCall(Extra.breakSilently, ()));
        vm.expectRevert(abi.encodeWithSelector(IDiamondCut.FacetWithoutCode.selector, stranger));
        vm.prank(owner);
        cutter.diamondCut(cuts, stranger, "");
        vm.prank(owner);
        cutter.diamondCut(cuts, address(facet), abi.encodeCall(Extra.extra, ()));
    }

    function test_RevertWhen_AnInitialisationRanBefore() public {
        FacetCut[] memory none = new FacetCut[](0);
        bytes memory init = abi.encodeCall(Extra.extra, ());
        vm.prank(owner);
        cutter.diamondCut(none, address(facet), init);
        bytes memory reason = abi.encodeWithSelector(IDiamondCut.InitRanBefore.selector, address(facet));
        vm.expectRevert(reason);
        vm.prank(owner);
        cutter.diamondCut(none, address(facet), init);
        vm.expectRevert(reason);
        vm.prank(owner);
        cutter.diamondCut(none, address(facet), abi.encodeCall(Extra.extraToo, ()));
        Extra other = new Extra();
        vm.expectRevert(Extra.Broken.selector);
        vm.prank(owner);
        cutter.diamondCut(none, address(other), abi.encodeCall(Extra.breakIt, ()));
        vm.prank(owner);
        cutter.diamondCut(none, address(other), init); // one that reverted has not run
    }

    function test_Finalize_EndsCutsForGood() public {
        expectEvent();
        emit IDiamondCut.Finalized();
        vm.prank(owner);
        cutter.finalize();
        FacetCut[] memory cuts = single(FacetCutAction.Add, address(facet), Extra.extra.selector);
        vm.expectRevert(abi.encodeWithSignature("FunctionUnknown(bytes4)", IDiamondCut.diamondCut.selector));
        vm.prank(owner);
        cutter.diamondCut(cuts, address(0), "");
        vm.expectRevert(abi.encodeWithSignature("FunctionUnknown(bytes4)", IDiamondCut.finalize.selector));
        vm.prank(owner);
        cutter.finalize();
        funded();
    }

    function test_Ownership_TakesTwoSteps() public {
        IOwnership ownership = IOwnership(diamond);
        vm.prank(owner);
        ownership.transferOwnership(stranger);
        vm.assertEq(ownership.owner(), owner, "not yet");
        vm.assertEq(ownership.pendingOwner(), stranger, "offered");
        vm.expectRevert(abi.encodeWithSelector(IOwnership.NotPendingOwner.selector, payee, stranger));
        vm.prank(payee);
        ownership.acceptOwnership();
        vm.prank(stranger);
        ownership.acceptOwnership();
        vm.assertEq(ownership.owner(), stranger, "owner");
        vm.assertEq(ownership.pendingOwner(), address(0), "offer used");
        vm.expectRevert(abi.encodeWithSelector(IOwnership.NotOwner.selector, owner, stranger));
        vm.prank(owner);
        ownership.transferOwnership(owner);
    }

    function test_ATimelockAsOwner_WaitsItsDelay() public {
        address[] memory proposers = new address[](1);
        proposers[0] = owner;
        TimelockController timelock = new TimelockController(2 days, proposers, proposers, address(0));
        vm.prank(owner);
        IOwnership(diamond).transferOwnership(address(timelock));
        bytes memory accept = abi.encodeCall(IOwnership.acceptOwnership, ());
        vm.prank(owner);
        timelock.schedule(diamond, 0, accept, 0, 0, 2 days);
        vm.expectRevert();
        vm.prank(owner);
        timelock.execute(diamond, 0, accept, 0, 0);
        vm.warp(START + 2 days);
        vm.prank(owner);
        timelock.execute(diamond, 0, accept, 0, 0);
        vm.assertEq(IOwnership(diamond).owner(), address(timelock), "owner");
        vm.expectRevert(abi.encodeWithSelector(IOwnership.NotOwner.selector, owner, address(timelock)));
        vm.prank(owner);
        cutter.finalize();
    }

    function test_RevertWhen_TheSelectorIsUnknownOrEtherIsSent() public {
        vm.expectRevert(abi.encodeWithSignature("FunctionUnknown(bytes4)", Extra.extra.selector));
        Extra(diamond).extra();
        (bool ok, ) = diamond.call{value: 1}("");
        vm.assertTrue(!ok, "ether");
        (ok, ) = diamond.call{value: 1}(abi.encodeCall(IOwnership.owner, ()));
        vm.assertTrue(!ok, "ether to a facet");
    }

    function test_FacetsCalledDirectly_DoNothing() public {
        FacetCut[] memory cuts = single(FacetCutAction.Add, address(facet), Extra.extra.selector);
        address[] memory tokens = new address[](1);
        tokens[0] = address(usdc);
        bytes[9] memory calls = [
            abi.encodeCall(IDiamondCut.diamondCut, (cuts, address(0), "")),
            abi.encodeCall(IDiamondCut.finalize, ()),
            abi.encodeCall(ITokenPolicy.setGuardian, (owner)),
            abi.encodeCall(ITokenPolicy.allowTokens, (tokens)),
            abi.encodeCall(ITokenPolicy.disallowTokens, (tokens)),
            abi.encodeCall(ITokenPolicy.pauseDeposits, (tokens)),
            abi.encodeCall(ITokenPolicy.resumeDeposits, (tokens)),
            abi.encodeCall(IOwnership.transferOwnership, (owner)),
            abi.encodeCall(IOwnership.acceptOwnership, ())
        ];
        address[2] memory callers = [owner, guardian];
        for (uint256 i; i < calls.length; i++) {
            address served = loupe.facetAddress(bytes4(calls[i]));
            for (uint256 j; j < 2; j++) {
                vm.prank(callers[j]);
                (bool ok, ) = served.call(calls[i]);
                vm.assertTrue(!ok, "a facet has no owner and no guardian");
            }
        }
        // Whoever names a delegate there names it nowhere.
        vm.prank(operator);
        IDelegates(loupe.facetAddress(IDelegates.setDelegate.selector)).setDelegate(stranger, true);
        vm.assertTrue(!IDelegates(diamond).isDelegate(operator, stranger), "the diamond's delegates");
        IDiamondLoupe lonely = IDiamondLoupe(loupe.facetAddress(IDiamondLoupe.facets.selector));
        vm.assertEq(lonely.facets().length, 0, "a facet serves nothing");
    }

    function test_StorageNamespacesAreTheErc7201Ones() public view {
        bytes32 ownerSlot = bytes32(uint256(namespace("dealkeep.diamond")) + 2);
        vm.assertEq(address(uint160(uint256(vm.load(diamond, ownerSlot)))), owner, "owner's slot");
        bytes32 policies = bytes32(uint256(namespace("dealkeep.escrow")) + 1);
        bytes32 slot = keccak256(abi.encode(address(usdc), policies));
        vm.assertEq(uint256(vm.load(diamond, slot)), 1, "policy's slot");
    }

    function namespace(string memory name) private pure returns (bytes32) {
        return keccak256(abi.encode(uint256(keccak256(bytes(name))) - 1)) & ~bytes32(uint256(0xff));
    }

    function answersFor(bytes4 id) private view returns (bool) {
        (, bytes memory answer) = diamond.staticcall(abi.encodeWithSelector(0x01ffc9a7, id));
        return abi.decode(answer, (bool));
    }

    function single(
        FacetCutAction action,
        address facet_,
        bytes4 selector
    ) private pure returns (FacetCut[] memory cuts) {
        cuts = new FacetCut[](1);
        cuts[0] = FacetCut(facet_, action, new bytes4[](1));
        cuts[0].functionSelectors[0] = selector;
    }

    function apply_(FacetCutAction action, address facet_, bytes4 selector) private {
        FacetCut[] memory cuts = single(action, facet_, selector);
        expectEvent();
        emit IDiamondCut.DiamondCut(cuts, address(0), "");
        vm.prank(owner);
        cutter.diamondCut(cuts, address(0), "");
    }

    function refuses(FacetCutAction action, address facet_, bytes4 selector, bytes memory reason) private {
        FacetCut[] memory cuts = single(action, facet_, selector);
        vm.expectRevert(reason);
        vm.prank(owner);
        cutter.diamondCut(cuts, address(0), "");
    }
}
