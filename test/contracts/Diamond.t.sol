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

/// Answers with, or reverts with, whatever it is called with and by whom: as a facet, and as an initialisation.
contract Echo {
    bytes4 private constant REFUSING = bytes4(keccak256("refuse(bytes)"));

    fallback(bytes calldata data) external returns (bytes memory) {
        if (bytes4(data) != REFUSING) return bytes.concat(abi.encode(msg.sender), data);
        bytes memory reason = data[4:];
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }
}

/// The diamond's fallback in plain Solidity.
contract FallbackTwin {
    address private immutable FACET;

    constructor(address facet) {
        FACET = facet;
    }

    fallback(bytes calldata data) external returns (bytes memory answer) {
        bool ok;
        (ok, answer) = FACET.delegatecall(data);
        require(ok, Refused(answer));
    }

    error Refused(bytes reason);
}

// the diamond
// ├── loupe: every function once, those of the diamond under its own address
// ├── cut: add, replace, remove; each wrong one reverts; functions of the diamond itself can't be cut
// ├── cut: after any sequence of them the loupe lists what a list kept beside says
// ├── cut: runs the initialisation, bubbles its reason, owner only; an initialisation runs once
// ├── finalize: no cut ever again
// ├── ownership: two steps, and a timelock as owner waits its delay
// ├── unknown selectors and ether: it should revert
// ├── whatever a facet or an initialisation answers comes through as it is, any bytes (the twins of that assembly)
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
        bytes4[] memory all = new bytes4[](total);
        for (uint256 i; i < facets.length; i++) {
            for (uint256 j; j < facets[i].functionSelectors.length; j++) all[--total] = facets[i].functionSelectors[j];
        }
        for (uint256 i; i < all.length; i++) for (uint256 j; j < i; j++) vm.assertTrue(all[i] != all[j], "distinct");
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

    /// Twelve selectors, added, replaced and removed at random against a list of who serves what.
    function testFuzz_Cuts_TheLoupeListsWhatWasCut(uint256 seed) public {
        address[2] memory facets = [address(facet), address(new Extra())];
        address[12] memory serving;
        for (uint256 step; step < 40; step++) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 which = (seed >> 8) % 12;
            address target = facets[(seed >> 16) % 2];
            FacetCutAction action = FacetCutAction(seed % 3);
            bool fits =
                action == FacetCutAction.Add
                    ? serving[which] == address(0)
                    : serving[which] != address(0) && (action == FacetCutAction.Remove || serving[which] != target);
            if (action == FacetCutAction.Remove) target = address(0);
            vm.prank(owner);
            (bool ok, ) = diamond.call(
                abi.encodeCall(
                    IDiamondCut.diamondCut,
                    (single(action, target, bytes4(uint32(which + 1))), address(0), "")
                )
            );
            vm.assertTrue(ok == fits, "accepted when it fits");
            if (ok) serving[which] = target;
        }
        uint256[2] memory counts;
        for (uint256 i; i < 12; i++) {
            vm.assertEq(loupe.facetAddress(bytes4(uint32(i + 1))), serving[i], "who serves");
            for (uint256 j; j < 2; j++) if (serving[i] == facets[j]) counts[j]++;
        }
        for (uint256 j; j < 2; j++) {
            bytes4[] memory listed = loupe.facetFunctionSelectors(facets[j]);
            vm.assertEq(listed.length, counts[j], "as many");
            for (uint256 i; i < listed.length; i++) {
                vm.assertEq(serving[uint32(listed[i]) - 1], facets[j], "each its own");
                for (uint256 k; k < i; k++) vm.assertTrue(listed[i] != listed[k], "once");
            }
        }
        vm.assertEq(loupe.facetFunctionSelectors(diamond).length, 26, "the diamond's own");
        funded();
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

    function testFuzz_AFacetsAnswer_ComesThroughAsItIs(bytes calldata data, address caller) public {
        address echo = address(new Echo());
        bytes4[2] memory selectors = [bytes4(keccak256("answer(bytes)")), bytes4(keccak256("refuse(bytes)"))];
        address twin = address(new FallbackTwin(echo));
        for (uint256 i; i < 2; i++) {
            apply_(FacetCutAction.Add, echo, selectors[i]);
            bytes memory message = bytes.concat(selectors[i], data);
            vm.prank(caller);
            (bool ok, bytes memory answer) = diamond.call(message);
            vm.prank(caller);
            (bool plainOk, bytes memory plain) = twin.call(message);
            vm.assertTrue(ok == plainOk && ok == (i == 0), "answered or refused");
            vm.assertEq(ok ? answer : abi.encodeWithSelector(FallbackTwin.Refused.selector, answer), plain, "alike");
        }
    }

    function testFuzz_AnInitialisationsReason_ComesThroughAsItIs(bytes calldata reason) public {
        address echo = address(new Echo());
        bytes memory refusing = bytes.concat(bytes4(keccak256("refuse(bytes)")), reason);
        vm.prank(owner);
        (bool ok, bytes memory told) = diamond.call(
            abi.encodeCall(IDiamondCut.diamondCut, (new FacetCut[](0), echo, refusing))
        );
        vm.assertTrue(!ok, "refused");
        bytes memory silent = abi.encodeWithSelector(IDiamondCut.InitFailed.selector, echo);
        vm.assertEq(told, reason.length == 0 ? silent : reason, "as it is");
    }

    /// Every function that the loupe lists, at the facet's own address, by whoever has power over the diamond.
    function test_FacetsCalledDirectly_OnlyReadOrNameTheCallersDelegate() public {
        address[4] memory callers = [owner, guardian, operator, stranger];
        IDiamondLoupe.Facet[] memory facets = loupe.facets();
        uint256 writing;
        for (uint256 i = 1; i < facets.length; i++) {
            for (uint256 j; j < facets[i].functionSelectors.length; j++) {
                bytes4 selector = facets[i].functionSelectors[j];
                // Zeros decode as any arguments; a call that may not write tells what only reads.
                bytes memory data = bytes.concat(selector, new bytes(320));
                (bool reads, ) = facets[i].facetAddress.staticcall(data);
                if (reads) continue;
                writing++;
                for (uint256 k; k < callers.length; k++) {
                    vm.prank(callers[k]);
                    (bool ok, ) = facets[i].facetAddress.call(data);
                    vm.assertTrue(ok == (selector == IDelegates.setDelegate.selector), "nobody has power at a facet");
                }
            }
        }
        vm.assertEq(writing, 10, "functions that write");
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
