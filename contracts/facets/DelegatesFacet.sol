// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDelegates} from "../interfaces/IDelegates.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";

/// Where operators name their hot keys.
contract DelegatesFacet is IDelegates {
    /// @inheritdoc IDelegates
    function setDelegate(address delegate, bool allowed) external {
        EscrowStorage.store().delegates[msg.sender][delegate] = allowed;
        emit DelegateChanged(msg.sender, delegate, allowed);
    }

    /// @inheritdoc IDelegates
    function isDelegate(address operator, address delegate) external view returns (bool) {
        return EscrowStorage.store().delegates[operator][delegate];
    }
}
