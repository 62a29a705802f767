// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {FacetCut, FacetCutAction, IDiamondCut, IOwnership} from "../interfaces/IDiamond.sol";

/// Which facet serves which selector, who owns the diamond and who guards it.
library DiamondStorage {
    struct Served {
        address facet;
        /// Where the selector is in `selectors`.
        uint96 position;
    }

    /// @custom:storage-location erc7201:dealkeep.diamond
    struct Layout {
        mapping(bytes4 selector => Served) served;
        bytes4[] selectors;
        address owner;
        address pendingOwner;
        address guardian;
        /// Initialisations that a cut ran: each runs once.
        mapping(address init => bool) initialized;
    }

    /// keccak256(abi.encode(uint256(keccak256("dealkeep.diamond")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 internal constant SLOT = 0x74bff40b028f3f1689f37dd94728c19a4fd3a0a5d10fc90818cbeaf8e3dc6f00;

    function store() internal pure returns (Layout storage self) {
        assembly ("memory-safe") {
            self.slot := SLOT
        }
    }

    function requireOwner() internal view {
        address owner = store().owner;
        if (msg.sender != owner) revert IOwnership.NotOwner(msg.sender, owner);
    }

    function setOwner(address newOwner) internal {
        Layout storage self = store();
        emit IOwnership.OwnershipTransferred(self.owner, newOwner);
        self.owner = newOwner;
    }

    /// Applies cuts to the selector table without emitting anything.
    function cut(FacetCut[] memory cuts) internal {
        for (uint256 i; i < cuts.length; i++) {
            FacetCut memory c = cuts[i];
            if (c.functionSelectors.length == 0) revert IDiamondCut.NoSelectors(c.facetAddress);
            if (c.action == FacetCutAction.Remove) {
                if (c.facetAddress != address(0)) revert IDiamondCut.RemovalNamesFacet(c.facetAddress);
            } else if (c.facetAddress.code.length == 0) {
                revert IDiamondCut.FacetWithoutCode(c.facetAddress);
            }
            for (uint256 j; j < c.functionSelectors.length; j++) {
                if (c.action == FacetCutAction.Add) add(c.functionSelectors[j], c.facetAddress);
                else if (c.action == FacetCutAction.Replace) replace(c.functionSelectors[j], c.facetAddress);
                else remove(c.functionSelectors[j]);
            }
        }
    }

    function add(bytes4 selector, address facet) internal {
        Layout storage self = store();
        address current = self.served[selector].facet;
        if (current != address(0)) revert IDiamondCut.SelectorTaken(selector, current);
        self.served[selector] = Served(facet, uint96(self.selectors.length));
        self.selectors.push(selector);
    }

    function replace(bytes4 selector, address facet) private {
        Served storage served = requireCuttable(selector);
        if (served.facet == facet) revert IDiamondCut.SameFacet(selector, facet);
        served.facet = facet;
    }

    /// Fills the gap with the last selector.
    function remove(bytes4 selector) internal {
        Layout storage self = store();
        uint96 position = requireCuttable(selector).position;
        bytes4 last = self.selectors[self.selectors.length - 1];
        self.selectors[position] = last;
        self.served[last].position = position;
        self.selectors.pop();
        delete self.served[selector];
    }

    function requireCuttable(bytes4 selector) private view returns (Served storage served) {
        served = store().served[selector];
        if (served.facet == address(0)) revert IDiamondCut.SelectorUnknown(selector);
        if (served.facet == address(this)) revert IDiamondCut.FunctionImmutable(selector);
    }
}
