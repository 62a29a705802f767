// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {FacetCut, FacetCutAction, IDiamondCut} from "../interfaces/IDiamond.sol";
import {DiamondStorage} from "../libraries/DiamondStorage.sol";

/// The owner's power over the code, and the way to end it.
contract DiamondCutFacet is IDiamondCut {
    /// @inheritdoc IDiamondCut
    function diamondCut(FacetCut[] calldata cuts, address init, bytes calldata callData) external {
        DiamondStorage.requireOwner();
        DiamondStorage.cut(cuts);
        emit DiamondCut(cuts, init, callData);
        if (init != address(0)) initialize(init, callData);
    }

    /// @inheritdoc IDiamondCut
    function finalize() external {
        DiamondStorage.requireOwner();
        FacetCut[] memory cuts = new FacetCut[](1);
        cuts[0] = FacetCut(address(0), FacetCutAction.Remove, new bytes4[](2));
        cuts[0].functionSelectors[0] = IDiamondCut.diamondCut.selector;
        cuts[0].functionSelectors[1] = IDiamondCut.finalize.selector;
        DiamondStorage.cut(cuts);
        emit DiamondCut(cuts, address(0), "");
        emit Finalized();
    }

    function initialize(address init, bytes calldata callData) private {
        if (init.code.length == 0) revert FacetWithoutCode(init);
        DiamondStorage.Layout storage self = DiamondStorage.store();
        if (self.initialized[init]) revert InitRanBefore(init);
        self.initialized[init] = true;
        (bool ok, bytes memory reason) = init.delegatecall(callData);
        if (ok) return;
        if (reason.length == 0) revert InitFailed(init);
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason)) // the reason's bytes follow its length
        }
    }
}
