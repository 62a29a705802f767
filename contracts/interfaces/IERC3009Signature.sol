// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title ERC-3009's receive with a signature of any length, as USDC has it beside the standard's form
interface IERC3009Signature {
    /// @notice Moves `from`'s tokens to the caller by a signature, ERC-1271 for accounts with code.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}
