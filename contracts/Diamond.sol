// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Deposits} from "./escrow/Deposits.sol";
import {Payouts} from "./escrow/Payouts.sol";
import {FacetCut, FacetCutAction, IDiamondCut} from "./interfaces/IDiamond.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {ITokenPolicy} from "./interfaces/ITokenPolicy.sol";
import {DiamondStorage} from "./libraries/DiamondStorage.sol";
import {Guard} from "./libraries/Guard.sol";
import {TokenPolicies} from "./libraries/TokenPolicies.sol";

/// @title Dealkeep's diamond, ERC-2535
/// @notice Everything that moves money is defined here, in functions that no cut can replace; facets hold the rest.
/// It takes no ether, and tokens sent straight to it belong to no deal.
contract Diamond is Deposits, Payouts {
    /// @notice Nothing serves the selector.
    error FunctionUnknown(bytes4 selector);

    /// @param owner May cut, name the guardian and change the allow-list.
    /// @param guardian May pause new deposits.
    /// @param cuts The facets to start with.
    /// @param tokens The allow-list to start with.
    constructor(address owner, address guardian, FacetCut[] memory cuts, address[] memory tokens) {
        bytes4[] memory own = ownSelectors();
        FacetCut[] memory all = new FacetCut[](cuts.length + 1);
        all[0] = FacetCut(address(this), FacetCutAction.Add, own);
        for (uint256 i; i < own.length; i++) DiamondStorage.add(own[i], address(this));
        for (uint256 i; i < cuts.length; i++) all[i + 1] = cuts[i];
        DiamondStorage.cut(cuts);
        emit IDiamondCut.DiamondCut(all, address(0), "");

        DiamondStorage.setOwner(owner);
        emit ITokenPolicy.GuardianChanged(address(0), guardian);
        DiamondStorage.store().guardian = guardian;
        for (uint256 i; i < tokens.length; i++) TokenPolicies.allow(tokens[i]);
    }

    /// @dev Delegates to the facet that serves the selector, unless a verb is under way.
    fallback() external {
        Guard.requireLeft();
        address facet = DiamondStorage.store().served[msg.sig].facet;
        if (facet == address(0)) revert FunctionUnknown(msg.sig);
        assembly {
            calldatacopy(0, 0, calldatasize()) // this call never returns to Solidity, so its memory is free to take
            let ok := delegatecall(gas(), facet, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(ok) {
                revert(0, returndatasize())
            }
            return(0, returndatasize())
        }
    }

    /// The functions that are part of the diamond itself.
    function ownSelectors() private pure returns (bytes4[] memory list) {
        list = new bytes4[](7);
        list[0] = IEscrow.deposit.selector;
        list[1] = IEscrow.release.selector;
        list[2] = IEscrow.cancelDeal.selector;
        list[3] = IEscrow.withdraw.selector;
        list[4] = IEscrow.dealId.selector;
        list[5] = IEscrow.getDeal.selector;
        list[6] = IEscrow.creditOf.selector;
    }
}
