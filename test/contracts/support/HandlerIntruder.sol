// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ICallback} from "./ZooToken.sol";

/// Sits inside a token: while tokens move it calls the diamond as it was told, and counts how often that worked.
contract HandlerIntruder is ICallback {
    address private immutable TARGET;
    bytes[] private plans;
    uint256 public called;
    uint256 public succeeded;
    bytes public lastReason;

    constructor(address target) {
        TARGET = target;
    }

    function plan(bytes[] calldata plans_) external {
        delete plans;
        for (uint256 i; i < plans_.length; i++) plans.push(plans_[i]);
    }

    function onTokensMoved() external {
        for (uint256 i; i < plans.length; i++) {
            (bool ok, bytes memory reason) = TARGET.call(plans[i]);
            called++;
            if (ok) succeeded++;
            else lastReason = reason;
        }
    }
}
