// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealState, Status} from "../interfaces/IEscrow.sol";

/// Packs and unpacks the one slot of a deal: released 120 bits, refunded 120, status 8, dispute flag 1.
library DealStates {
    uint256 internal constant MAX_AMOUNT = type(uint120).max;
    uint256 private constant REFUNDED_SHIFT = 120;
    uint256 private constant STATUS_SHIFT = 240;
    uint256 private constant PAYEE_DISPUTES = 1 << 248;

    /// Both amounts are at most `MAX_AMOUNT`: their sum never exceeds twice a deal's amount.
    function pack(uint256 releasedAmount, uint256 refundedAmount, Status status_) internal pure returns (DealState) {
        return DealState.wrap(releasedAmount | (refundedAmount << REFUNDED_SHIFT) | (uint256(status_) << STATUS_SHIFT));
    }

    function released(DealState state) internal pure returns (uint256) {
        return DealState.unwrap(state) & MAX_AMOUNT;
    }

    function refunded(DealState state) internal pure returns (uint256) {
        return (DealState.unwrap(state) >> REFUNDED_SHIFT) & MAX_AMOUNT;
    }

    function status(DealState state) internal pure returns (Status) {
        return Status((DealState.unwrap(state) >> STATUS_SHIFT) & 0xff);
    }
}
