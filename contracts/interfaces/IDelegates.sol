// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Delegates of operators
/// @notice An operator in the terms may be a cold key or a Safe that names hot keys; dropping one touches no deal.
interface IDelegates {
    /// @notice `delegate` may act as `operator`, or may no longer.
    event DelegateChanged(address indexed operator, address indexed delegate, bool allowed);

    /// @notice Lets `delegate` act as the caller wherever the caller is a deal's operator, or no longer.
    /// @dev Anyone, for itself. Emits `DelegateChanged`.
    function setDelegate(address delegate, bool allowed) external;

    /// @notice Whether `delegate` may act as `operator`.
    function isDelegate(address operator, address delegate) external view returns (bool);
}
