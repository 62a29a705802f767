// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// What a cut does with selectors.
enum FacetCutAction {
    Add,
    Replace,
    Remove
}

struct FacetCut {
    /// Zero when removing.
    address facetAddress;
    FacetCutAction action;
    bytes4[] functionSelectors;
}

/// @title Diamond cut, ERC-2535
interface IDiamondCut {
    /// @notice Selectors were added, replaced or removed, and `init` was delegated to unless it is zero.
    event DiamondCut(FacetCut[] diamondCut, address init, bytes callData);

    /// @notice Cuts were ended for good.
    event Finalized();

    /// @notice The cut names no selectors.
    error NoSelectors(address facet);
    /// @notice The facet has no code.
    error FacetWithoutCode(address facet);
    /// @notice A removal must name facet zero.
    error RemovalNamesFacet(address facet);
    /// @notice The selector is already served.
    error SelectorTaken(bytes4 selector, address facet);
    /// @notice Nothing serves the selector.
    error SelectorUnknown(bytes4 selector);
    /// @notice The facet serves the selector already.
    error SameFacet(bytes4 selector, address facet);
    /// @notice The function is part of the diamond itself and can't be replaced or removed.
    error FunctionImmutable(bytes4 selector);
    /// @notice The initialisation ran in an earlier cut.
    error InitRanBefore(address init);
    /// @notice The initialisation reverted without a reason.
    error InitFailed(address init);

    /// @notice Adds, replaces or removes functions, then delegates `callData` to `init` unless it is zero.
    /// @dev Owner only. Reverts if: a cut is empty; a facet or `init` has no code; an added selector is taken; a
    /// replaced or removed one is unknown or part of the diamond itself; `init` ran before or reverts.
    /// Emits `DiamondCut`.
    function diamondCut(FacetCut[] calldata cuts, address init, bytes calldata callData) external;

    /// @notice Removes `diamondCut` and itself for good: from then on the code of this diamond never changes.
    /// @dev Owner only. Emits `DiamondCut` and `Finalized`.
    function finalize() external;
}

/// @title Diamond loupe, ERC-2535
interface IDiamondLoupe {
    struct Facet {
        address facetAddress;
        bytes4[] functionSelectors;
    }

    /// @notice All facets with their selectors; functions of the diamond itself are listed under its own address.
    function facets() external view returns (Facet[] memory);

    /// @notice The selectors that `facet` serves.
    function facetFunctionSelectors(address facet) external view returns (bytes4[] memory);

    /// @notice The addresses of all facets.
    function facetAddresses() external view returns (address[] memory);

    /// @notice The facet that serves `selector`, zero when none does.
    function facetAddress(bytes4 selector) external view returns (address);
}

/// @title Ownership, ERC-173, handed over in two steps
interface IOwnership {
    /// @notice The diamond has a new owner.
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    /// @notice `pendingOwner` may accept the ownership; zero takes an offer back.
    event OwnershipTransferStarted(address indexed owner, address indexed pendingOwner);

    /// @notice The caller is not the owner.
    error NotOwner(address caller, address owner);
    /// @notice The caller was not offered the ownership.
    error NotPendingOwner(address caller, address pendingOwner);

    /// @notice The owner: may cut, name the guardian and change the allow-list.
    function owner() external view returns (address);

    /// @notice Who may accept the ownership, zero: nobody.
    function pendingOwner() external view returns (address);

    /// @notice Offers the ownership to `newOwner`. Owner only. Emits `OwnershipTransferStarted`.
    function transferOwnership(address newOwner) external;

    /// @notice Takes an offered ownership. Pending owner only. Emits `OwnershipTransferred`.
    function acceptOwnership() external;
}
