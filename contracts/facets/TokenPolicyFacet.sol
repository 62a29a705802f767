// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ITokenPolicy, TokenPolicy} from "../interfaces/ITokenPolicy.sol";
import {DiamondStorage} from "../libraries/DiamondStorage.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";
import {TokenPolicies} from "../libraries/TokenPolicies.sol";

/// The allow-list, which is the owner's, and the pause of new deposits, which is the guardian's too.
contract TokenPolicyFacet is ITokenPolicy {
    /// @inheritdoc ITokenPolicy
    function allowTokens(address[] calldata tokens) external {
        DiamondStorage.requireOwner();
        if (tokens.length == 0) revert NoTokens();
        for (uint256 i; i < tokens.length; i++) TokenPolicies.allow(tokens[i]);
    }

    /// @inheritdoc ITokenPolicy
    function disallowTokens(address[] calldata tokens) external {
        DiamondStorage.requireOwner();
        TokenPolicies.change(tokens, 0, EscrowStorage.POLICY_ALLOWED);
    }

    /// @inheritdoc ITokenPolicy
    function pauseDeposits(address[] calldata tokens) external {
        requireGuardian();
        TokenPolicies.change(tokens, EscrowStorage.POLICY_PAUSED, 0);
    }

    /// @inheritdoc ITokenPolicy
    function resumeDeposits(address[] calldata tokens) external {
        requireGuardian();
        TokenPolicies.change(tokens, 0, EscrowStorage.POLICY_PAUSED);
    }

    /// @inheritdoc ITokenPolicy
    function setGuardian(address newGuardian) external {
        DiamondStorage.requireOwner();
        DiamondStorage.Layout storage self = DiamondStorage.store();
        emit GuardianChanged(self.guardian, newGuardian);
        self.guardian = newGuardian;
    }

    /// @inheritdoc ITokenPolicy
    function guardian() external view returns (address) {
        return DiamondStorage.store().guardian;
    }

    /// @inheritdoc ITokenPolicy
    function tokenPolicy(address token) external view returns (TokenPolicy memory) {
        uint256 policy = EscrowStorage.store().policies[token];
        return
            TokenPolicy({
                allowed: policy & EscrowStorage.POLICY_ALLOWED != 0,
                paused: policy & EscrowStorage.POLICY_PAUSED != 0
            });
    }

    function requireGuardian() private view {
        DiamondStorage.Layout storage self = DiamondStorage.store();
        if (msg.sender != self.guardian && msg.sender != self.owner) revert NotGuardian(msg.sender, self.guardian);
    }
}
