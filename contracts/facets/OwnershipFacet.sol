// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IOwnership} from "../interfaces/IDiamond.sol";
import {DiamondStorage} from "../libraries/DiamondStorage.sol";

/// Hands the ownership over in two steps, so that it can't be lost to an address that nobody holds.
contract OwnershipFacet is IOwnership {
    /// @inheritdoc IOwnership
    function owner() external view returns (address) {
        return DiamondStorage.store().owner;
    }

    /// @inheritdoc IOwnership
    function pendingOwner() external view returns (address) {
        return DiamondStorage.store().pendingOwner;
    }

    /// @inheritdoc IOwnership
    function transferOwnership(address newOwner) external {
        DiamondStorage.requireOwner();
        DiamondStorage.store().pendingOwner = newOwner;
        emit OwnershipTransferStarted(msg.sender, newOwner);
    }

    /// @inheritdoc IOwnership
    function acceptOwnership() external {
        DiamondStorage.Layout storage self = DiamondStorage.store();
        if (msg.sender != self.pendingOwner) revert NotPendingOwner(msg.sender, self.pendingOwner);
        delete self.pendingOwner;
        DiamondStorage.setOwner(msg.sender);
    }
}
