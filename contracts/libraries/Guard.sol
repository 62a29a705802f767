// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow} from "../interfaces/IEscrow.sol";

/// One transient re-entrancy guard for the whole diamond: verbs enter and leave it, the fallback refuses to
/// delegate to any facet while it is entered.
library Guard {
    /// keccak256("dealkeep.guard")
    bytes32 private constant SLOT = 0xadad0d76c13410212a4504cffdbe318b000fc0e6d5d4e02ad41f2856389ceb18;

    function enter() internal {
        requireLeft();
        assembly ("memory-safe") {
            tstore(SLOT, 1)
        }
    }

    function exit() internal {
        assembly ("memory-safe") {
            tstore(SLOT, 0)
        }
    }

    function requireLeft() internal view {
        bool entered;
        assembly ("memory-safe") {
            entered := tload(SLOT)
        }
        if (entered) revert IEscrow.Reentered();
    }
}
