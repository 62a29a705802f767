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

    function status(DealState state) internal pure returns (Status status_) {
        uint256 word = DealState.unwrap(state);
        assembly ("memory-safe") {
            status_ := and(shr(STATUS_SHIFT, word), 0xff) // only valid ones are ever written: no range check
        }
    }

    /// Marks a disputed deal as disputed by the payee.
    function withPayeeDisputing(DealState state) internal pure returns (DealState) {
        return DealState.wrap(DealState.unwrap(state) | PAYEE_DISPUTES);
    }

    /// Whether the payee opened the dispute; otherwise the payer did. Only true or false while Disputed.
    function payeeDisputes(DealState state) internal pure returns (bool) {
        return DealState.unwrap(state) & PAYEE_DISPUTES != 0;
    }

    /// The same with `amount` more released; everything else stays.
    function addReleased(DealState state, uint256 amount) internal pure returns (DealState) {
        unchecked {
            return DealState.wrap(DealState.unwrap(state) + amount); // stays below 2^120, see pack
        }
    }

    /// The same with `amount` more refunded; everything else stays.
    function addRefunded(DealState state, uint256 amount) internal pure returns (DealState) {
        unchecked {
            return DealState.wrap(DealState.unwrap(state) + (amount << REFUNDED_SHIFT)); // stays below 2^120, see pack
        }
    }

    /// The same amounts in another status, without the dispute flag.
    function withStatus(DealState state, Status status_) internal pure returns (DealState) {
        return
            DealState.wrap((DealState.unwrap(state) & ((1 << STATUS_SHIFT) - 1)) | (uint256(status_) << STATUS_SHIFT));
    }
}
