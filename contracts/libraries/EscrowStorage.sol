// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, DealState} from "../interfaces/IEscrow.sol";

/// What the escrow keeps, shared by the diamond and its facets.
library EscrowStorage {
    /// @custom:storage-location erc7201:dealkeep.escrow
    struct Layout {
        /// One slot a deal, packed by `DealStates`.
        mapping(DealId => DealState) deals;
        /// Bit 0: on the allow-list. Bit 1: new deposits are paused.
        mapping(address token => uint256) policies;
        /// Fees and failed pushes, in base units, paid by `withdraw`.
        mapping(address token => mapping(address account => uint256)) credits;
        /// Hot keys that act as the operator.
        mapping(address operator => mapping(address delegate => bool)) delegates;
    }

    /// keccak256(abi.encode(uint256(keccak256("dealkeep.escrow")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 internal constant SLOT = 0x20b7167e6fb4344d9aadf1b7014ce808c5f7a0ef77eb29caffb0529d7d5bbc00;

    uint256 internal constant POLICY_ALLOWED = 1;
    uint256 internal constant POLICY_PAUSED = 2;

    function store() internal pure returns (Layout storage self) {
        assembly ("memory-safe") {
            self.slot := SLOT
        }
    }
}
