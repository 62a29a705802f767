// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Deal, DealId, DealState, IEscrow, Terms} from "../interfaces/IEscrow.sol";
import {DealStates} from "../libraries/DealStates.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";
import {TermsHash} from "../libraries/TermsHash.sol";
import {TokenTransfers} from "../libraries/TokenTransfers.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// Fees and failed pushes waiting for their owners, and what can be read of deals.
abstract contract Credits is EscrowBase {
    using DealStates for DealState;
    using TermsHash for Terms;

    /// @inheritdoc IEscrow
    function withdraw(address token, address account) external guarded {
        mapping(address => uint256) storage credits = EscrowStorage.store().credits[token];
        uint256 amount = credits[account];
        if (amount == 0) revert NothingToWithdraw(token, account);
        credits[account] = 0;
        emit Withdrawn(token, account, amount);
        if (!TokenTransfers.send(token, account, amount, gasleft())) {
            revert TransferFailed(token, address(this), account, amount);
        }
    }

    /// @inheritdoc IEscrow
    function dealId(Terms calldata terms) external view returns (DealId) {
        return terms.hash();
    }

    /// @inheritdoc IEscrow
    function getDeal(DealId id) external view returns (Deal memory) {
        DealState state = _state(id);
        return Deal({released: state.released(), refunded: state.refunded(), status: state.status()});
    }

    /// @inheritdoc IEscrow
    function creditOf(address token, address account) external view returns (uint256) {
        return EscrowStorage.store().credits[token][account];
    }
}
