// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ITokenPolicy} from "../interfaces/ITokenPolicy.sol";
import {EscrowStorage} from "./EscrowStorage.sol";

/// Writes the policy words of tokens and tells the log.
library TokenPolicies {
    /// Sets and clears bits of each token's word.
    /// Reverts with `NoTokens` for an empty list.
    function change(address[] memory tokens, uint256 set, uint256 clear) internal {
        if (tokens.length == 0) revert ITokenPolicy.NoTokens();
        for (uint256 i; i < tokens.length; i++) write(tokens[i], set, clear);
    }

    /// Reverts with `TokenWithoutCode`.
    function allow(address token) internal {
        if (token.code.length == 0) revert ITokenPolicy.TokenWithoutCode(token);
        write(token, EscrowStorage.POLICY_ALLOWED, 0);
    }

    function write(address token, uint256 set, uint256 clear) private {
        EscrowStorage.Layout storage self = EscrowStorage.store();
        uint256 policy = (self.policies[token] | set) & ~clear;
        self.policies[token] = policy;
        emit ITokenPolicy.TokenPolicyChanged(
            token,
            policy & EscrowStorage.POLICY_ALLOWED != 0,
            policy & EscrowStorage.POLICY_PAUSED != 0
        );
    }
}
