// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// What new deals may do with a token.
struct TokenPolicy {
    /// On the allow-list.
    bool allowed;
    /// New deposits are paused.
    bool paused;
}

/// @title Token policy
/// @notice Which tokens new deals may use. Nothing here touches money that is already held.
interface ITokenPolicy {
    /// @notice The policy of a token changed.
    event TokenPolicyChanged(address indexed token, bool allowed, bool paused);
    /// @notice Another account may pause.
    event GuardianChanged(address indexed previousGuardian, address indexed newGuardian);

    /// @notice The caller is neither the guardian nor the owner.
    error NotGuardian(address caller, address guardian);
    /// @notice The token has no code.
    error TokenWithoutCode(address token);
    /// @notice No tokens were named.
    error NoTokens();

    /// @notice Puts tokens on the allow-list. Owner only.
    /// @dev Reverts if: a token has no code. Emits `TokenPolicyChanged` for each.
    function allowTokens(address[] calldata tokens) external;

    /// @notice Takes tokens off the allow-list; open deals go on. Owner only.
    /// @dev Emits `TokenPolicyChanged` for each.
    function disallowTokens(address[] calldata tokens) external;

    /// @notice Stops new deposits of tokens; everything else goes on. Guardian or owner.
    /// @dev Emits `TokenPolicyChanged` for each.
    function pauseDeposits(address[] calldata tokens) external;

    /// @notice Lets new deposits of tokens go on. Guardian or owner.
    /// @dev Emits `TokenPolicyChanged` for each.
    function resumeDeposits(address[] calldata tokens) external;

    /// @notice Names the account that may pause, zero: only the owner may. Owner only. Emits `GuardianChanged`.
    function setGuardian(address newGuardian) external;

    /// @notice The account that may pause.
    function guardian() external view returns (address);

    /// @notice Whether new deals may use `token`, and whether deposits of it are paused.
    function tokenPolicy(address token) external view returns (TokenPolicy memory);
}
