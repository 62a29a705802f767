// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Credits} from "./escrow/Credits.sol";
import {Deposits} from "./escrow/Deposits.sol";
import {Disputes} from "./escrow/Disputes.sol";
import {Payouts} from "./escrow/Payouts.sol";
import {FacetCut, FacetCutAction, IDiamondCut} from "./interfaces/IDiamond.sol";
import {IEscrow} from "./interfaces/IEscrow.sol";
import {IPermit2} from "./interfaces/IPermit2.sol";
import {ITokenPolicy} from "./interfaces/ITokenPolicy.sol";
import {DiamondStorage} from "./libraries/DiamondStorage.sol";
import {Guard} from "./libraries/Guard.sol";
import {TokenPolicies} from "./libraries/TokenPolicies.sol";

/// @title Dealkeep's diamond, ERC-2535
/// @notice Everything that moves money is defined here, in functions that no cut can replace; facets hold the rest.
/// It takes no ether, and tokens sent straight to it belong to no deal.
contract Diamond is Deposits, Payouts, Disputes, Credits {
    /// @notice Nothing serves the selector.
    error FunctionUnknown(bytes4 selector);

    /// depositWithAuthorization(Terms,uint256,uint256,uint8,bytes32,bytes32)
    bytes4 private constant AUTHORIZATION_VRS = 0x0022dd27;
    /// depositWithAuthorization(Terms,uint256,uint256,bytes)
    bytes4 private constant AUTHORIZATION_BYTES = 0xbe5a7a50;

    /// @param owner May cut, name the guardian and change the allow-list.
    /// @param guardian May pause new deposits.
    /// @param permit2_ Uniswap's Permit2 on this chain.
    /// @param cuts The facets to start with.
    /// @param tokens The allow-list to start with.
    constructor(
        address owner,
        address guardian,
        IPermit2 permit2_,
        FacetCut[] memory cuts,
        address[] memory tokens
    ) Deposits(permit2_) {
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
        list = new bytes4[](26);
        list[0] = IEscrow.deposit.selector;
        list[1] = IEscrow.depositWithPermit.selector;
        list[2] = IEscrow.depositWithPermit2.selector;
        list[3] = IEscrow.depositMany.selector;
        list[4] = IEscrow.depositManyWithAuthorization.selector;
        list[5] = IEscrow.depositManyWithPermit2.selector;
        list[6] = IEscrow.release.selector;
        list[7] = IEscrow.releasePart.selector;
        list[8] = IEscrow.releaseMany.selector;
        list[9] = IEscrow.cancelDeal.selector;
        list[10] = IEscrow.cancelMany.selector;
        list[11] = IEscrow.refundPart.selector;
        list[12] = IEscrow.claim.selector;
        list[13] = IEscrow.reclaim.selector;
        list[14] = IEscrow.returnPayment.selector;
        list[15] = IEscrow.openDispute.selector;
        list[16] = IEscrow.withdrawDispute.selector;
        list[17] = IEscrow.resolve.selector;
        list[18] = IEscrow.settle.selector;
        list[19] = IEscrow.withdraw.selector;
        list[20] = IEscrow.dealId.selector;
        list[21] = IEscrow.getDeal.selector;
        list[22] = IEscrow.creditOf.selector;
        list[23] = IEscrow.permit2.selector;
        list[24] = AUTHORIZATION_VRS;
        list[25] = AUTHORIZATION_BYTES;
    }
}
