// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow} from "../../../contracts/interfaces/IEscrow.sol";
import {ICallback} from "./ZooToken.sol";

/// Sits inside a token: while tokens move it calls the diamond as it was told, and counts how that ended.
contract HandlerIntruder is ICallback {
    address private immutable TARGET;
    bytes[] private plans;
    uint256 public called;
    uint256 public succeeded;
    /// Refused by the re-entrancy guard, and by nothing else.
    uint256 public reentered;

    constructor(address target) {
        TARGET = target;
    }

    function plan(bytes[] calldata plans_) external {
        delete plans;
        for (uint256 i; i < plans_.length; i++) plans.push(plans_[i]);
    }

    function onTokensMoved() external {
        uint256 ok_;
        uint256 refused;
        for (uint256 i; i < plans.length; i++) {
            (bool ok, bytes memory reason) = TARGET.call(plans[i]);
            if (ok) ok_++;
            else if (bytes4(reason) == IEscrow.Reentered.selector) refused++;
        }
        called += plans.length;
        succeeded += ok_;
        reentered += refused;
    }
}
