// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IDiamondCut, IDiamondLoupe, IOwnership} from "../interfaces/IDiamond.sol";
import {DiamondStorage} from "../libraries/DiamondStorage.sol";

/// Tells which facet serves what. Meant for calls from outside the chain: the lists are gathered by scanning.
contract DiamondLoupeFacet is IDiamondLoupe, IERC165 {
    /// ERC-173: owner() and transferOwnership(address)
    bytes4 private constant ERC173 = IOwnership.owner.selector ^ IOwnership.transferOwnership.selector;
    /// ERC-2535's own interface of the cut, without `finalize`
    bytes4 private constant CUT = IDiamondCut.diamondCut.selector;

    /// @inheritdoc IDiamondLoupe
    function facets() external view returns (Facet[] memory list) {
        address[] memory addresses = facetAddresses();
        list = new Facet[](addresses.length);
        for (uint256 i; i < addresses.length; i++) {
            list[i] = Facet(addresses[i], facetFunctionSelectors(addresses[i]));
        }
    }

    /// @inheritdoc IDiamondLoupe
    function facetFunctionSelectors(address facet) public view returns (bytes4[] memory list) {
        DiamondStorage.Layout storage self = DiamondStorage.store();
        bytes4[] memory all = self.selectors;
        uint256 found;
        for (uint256 i; i < all.length; i++) {
            if (self.served[all[i]].facet == facet) all[found++] = all[i];
        }
        list = new bytes4[](found);
        for (uint256 i; i < found; i++) list[i] = all[i];
    }

    /// @inheritdoc IDiamondLoupe
    function facetAddresses() public view returns (address[] memory list) {
        DiamondStorage.Layout storage self = DiamondStorage.store();
        bytes4[] memory all = self.selectors;
        address[] memory seen = new address[](all.length);
        uint256 found;
        for (uint256 i; i < all.length; i++) {
            address facet = self.served[all[i]].facet;
            uint256 j;
            while (j < found && seen[j] != facet) j++;
            if (j == found) seen[found++] = facet;
        }
        list = new address[](found);
        for (uint256 i; i < found; i++) list[i] = seen[i];
    }

    /// @inheritdoc IDiamondLoupe
    function facetAddress(bytes4 selector) external view returns (address) {
        return DiamondStorage.store().served[selector].facet;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 id) external view returns (bool) {
        if (id == CUT) return DiamondStorage.store().served[CUT].facet != address(0);
        return id == type(IERC165).interfaceId || id == type(IDiamondLoupe).interfaceId || id == ERC173;
    }
}
