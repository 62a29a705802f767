// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDelegates} from "../../../contracts/interfaces/IDelegates.sol";
import {
    FacetCut,
    FacetCutAction,
    IDiamondCut,
    IDiamondLoupe,
    IOwnership
} from "../../../contracts/interfaces/IDiamond.sol";
import {Deal, DealId, DealState, IEscrow, Outcome, Status, Terms} from "../../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../../contracts/interfaces/ITokenPolicy.sol";
import {TestUSDC} from "../../../contracts/tokens/TestUSDC.sol";
import {TestUSDT} from "../../../contracts/tokens/TestUSDT.sol";
import {Vm} from "./Vm.sol";

/// A fresh diamond with both test tokens, a cast of actors, and the usual deal between them.
abstract contract EscrowTest {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    uint256 internal constant START = 1_800_000_000;
    uint256 internal constant AMOUNT = 100_000_000;
    uint256 internal constant FEE = 1_000_000;
    uint256 internal constant PAYER_KEY = uint256(keccak256("payer"));
    uint256 internal constant PAYEE_KEY = uint256(keccak256("payee"));

    address internal immutable payer = vm.addr(PAYER_KEY);
    address internal immutable payee = vm.addr(PAYEE_KEY);
    address internal immutable operator = vm.addr(uint256(keccak256("operator")));
    address internal immutable arbiter = vm.addr(uint256(keccak256("arbiter")));
    address internal immutable feeRecipient = vm.addr(uint256(keccak256("feeRecipient")));
    address internal immutable stranger = vm.addr(uint256(keccak256("stranger")));
    address internal immutable owner = vm.addr(uint256(keccak256("owner")));
    address internal immutable guardian = vm.addr(uint256(keccak256("guardian")));

    TestUSDC internal usdc;
    TestUSDT internal usdt;
    address internal permit2;
    IEscrow internal escrow;
    address internal diamond;

    function setUp() public virtual {
        vm.warp(START);
        usdc = new TestUSDC();
        usdt = new TestUSDT();
        permit2 = make("TestPermit2.sol:TestPermit2", "");
        address[] memory tokens = new address[](2);
        tokens[0] = address(usdc);
        tokens[1] = address(usdt);
        diamond = make("Diamond.sol:Diamond", abi.encode(owner, guardian, permit2, facetCuts(), tokens));
        escrow = IEscrow(diamond);
        fund(payer);
    }

    /// Gives an account plenty of both tokens and lets the diamond take them.
    function fund(address account) internal {
        usdc.mint(account, 1000 * AMOUNT);
        usdt.mint(account, 1000 * AMOUNT);
        vm.prank(account);
        usdc.approve(diamond, type(uint256).max);
        vm.prank(account);
        usdt.approve(diamond, type(uint256).max);
    }

    /// The usual deal: 100 USDC from payer to payee, 1 % fee, an arbiter, release by default.
    function usualTerms() internal view returns (Terms memory) {
        return
            Terms({
                ref: (7 << 192) | uint192(uint256(keccak256("salt"))),
                operator: operator,
                payee: payee,
                payer: payer,
                token: address(usdc),
                amount: AMOUNT,
                fee: FEE,
                feeRecipient: feeRecipient,
                arbiter: arbiter,
                depositDeadline: START + 1 days,
                settlementDeadline: START + 10 days,
                resolutionDeadline: START + 20 days,
                defaultOutcome: Outcome.Release
            });
    }

    /// The usual deal, funded.
    function funded() internal returns (Terms memory terms) {
        return fundedAs(usualTerms());
    }

    function fundedAs(Terms memory terms) internal returns (Terms memory) {
        vm.prank(terms.payer);
        escrow.deposit(terms);
        return terms;
    }

    /// The usual deal, disputed by the payer.
    function disputed() internal returns (Terms memory terms) {
        terms = funded();
        vm.prank(payer);
        escrow.openDispute(terms, 0);
    }

    function assertDeal(Terms memory terms, uint256 released, uint256 refunded, Status status) internal view {
        Deal memory deal = escrow.getDeal(escrow.dealId(terms));
        vm.assertEq(deal.released, released, "released");
        vm.assertEq(deal.refunded, refunded, "refunded");
        vm.assertEq(uint256(deal.status), uint256(status), "status");
    }

    function state(uint256 released, uint256 refunded, Status status) internal pure returns (DealState) {
        return DealState.wrap(released | (refunded << 120) | (uint256(status) << 240));
    }

    /// Expects the next call to emit exactly this, with all topics and data.
    function expectEvent() internal {
        vm.expectEmit(true, true, true, true, diamond);
    }

    function join(uint8 v, bytes32 r, bytes32 s) internal pure returns (bytes memory) {
        return abi.encodePacked(r, s, v);
    }

    function facetCuts() internal returns (FacetCut[] memory cuts) {
        cuts = new FacetCut[](5);
        cuts[0] = cut("DiamondCutFacet", 2);
        cuts[0].functionSelectors[0] = IDiamondCut.diamondCut.selector;
        cuts[0].functionSelectors[1] = IDiamondCut.finalize.selector;
        cuts[1] = cut("DiamondLoupeFacet", 5);
        cuts[1].functionSelectors[0] = IDiamondLoupe.facets.selector;
        cuts[1].functionSelectors[1] = IDiamondLoupe.facetFunctionSelectors.selector;
        cuts[1].functionSelectors[2] = IDiamondLoupe.facetAddresses.selector;
        cuts[1].functionSelectors[3] = IDiamondLoupe.facetAddress.selector;
        cuts[1].functionSelectors[4] = 0x01ffc9a7; // supportsInterface(bytes4)
        cuts[2] = cut("OwnershipFacet", 4);
        cuts[2].functionSelectors[0] = IOwnership.owner.selector;
        cuts[2].functionSelectors[1] = IOwnership.pendingOwner.selector;
        cuts[2].functionSelectors[2] = IOwnership.transferOwnership.selector;
        cuts[2].functionSelectors[3] = IOwnership.acceptOwnership.selector;
        cuts[3] = cut("TokenPolicyFacet", 7);
        cuts[3].functionSelectors[0] = ITokenPolicy.allowTokens.selector;
        cuts[3].functionSelectors[1] = ITokenPolicy.disallowTokens.selector;
        cuts[3].functionSelectors[2] = ITokenPolicy.pauseDeposits.selector;
        cuts[3].functionSelectors[3] = ITokenPolicy.resumeDeposits.selector;
        cuts[3].functionSelectors[4] = ITokenPolicy.setGuardian.selector;
        cuts[3].functionSelectors[5] = ITokenPolicy.guardian.selector;
        cuts[3].functionSelectors[6] = ITokenPolicy.tokenPolicy.selector;
        cuts[4] = cut("DelegatesFacet", 2);
        cuts[4].functionSelectors[0] = IDelegates.setDelegate.selector;
        cuts[4].functionSelectors[1] = IDelegates.isDelegate.selector;
    }

    function cut(string memory facet, uint256 count) private returns (FacetCut memory) {
        address created = make(string.concat(facet, ".sol:", facet), "");
        return FacetCut(created, FacetCutAction.Add, new bytes4[](count));
    }

    /// Creates a contract from its artifact: the very code that is deployed, whatever compiled this test.
    function make(string memory artifact, bytes memory arguments) internal returns (address created) {
        bytes memory code = bytes.concat(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        vm.assertTrue(created != address(0), artifact);
    }
}
