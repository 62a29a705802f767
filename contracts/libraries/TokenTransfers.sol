// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow} from "../interfaces/IEscrow.sol";

/// Moves tokens that return true, return nothing (USDT), return false or revert.
/// Return data is never copied beyond one word, so a token can't make the caller pay for a flood of it.
/// The plain-Solidity twin lives in test/contracts/Twins.t.sol.
library TokenTransfers {
    /// A push gets at most this much gas: three times what the dearest known transfer needs (a proxy token with a
    /// blocklist and a fresh recipient, about 65,000).
    uint256 internal constant PUSH_GAS = 200_000;
    /// With this much left before a push, EIP-150 leaves the token all of `PUSH_GAS`, a cold access included.
    uint256 internal constant PUSH_GAS_NEEDED = 210_000;

    /// Sends `amount` with a gas cap.
    /// Reverts with `PushOutOfGas` when a push failed that had less than the whole cap.
    /// @return ok Whether the token accepted.
    function push(address token, address to, uint256 amount) internal returns (bool ok) {
        uint256 gasBefore = gasleft();
        ok = send(token, to, amount, PUSH_GAS);
        if (!ok && gasBefore < PUSH_GAS_NEEDED) revert IEscrow.PushOutOfGas(gasBefore, PUSH_GAS_NEEDED);
    }

    /// Sends `amount`, leaving the token at most `gasCap`.
    /// @return ok Whether the token accepted.
    function send(address token, address to, uint256 amount, uint256 gasCap) internal returns (bool ok) {
        assembly ("memory-safe") {
            let m := mload(0x40) // scratch above the free memory pointer
            mstore(m, shl(224, 0xa9059cbb)) // transfer(address,uint256)
            mstore(add(m, 4), to)
            mstore(add(m, 36), amount)
            ok := call(gasCap, token, 0, m, 68, 0, 32) // at most one word back, into scratch space
            switch returndatasize()
            case 0 {
                ok := and(ok, iszero(iszero(extcodesize(token)))) // nothing returned: fine if there is a token at all
            }
            default {
                ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), 1))) // otherwise exactly true
            }
        }
    }

    /// Takes `amount` from `from` by allowance.
    /// Reverts with `TransferFailed` when the token refuses.
    function take(address token, address from, address to, uint256 amount) internal {
        bool ok;
        assembly ("memory-safe") {
            let m := mload(0x40) // scratch above the free memory pointer
            mstore(m, shl(224, 0x23b872dd)) // transferFrom(address,address,uint256)
            mstore(add(m, 4), from)
            mstore(add(m, 36), to)
            mstore(add(m, 68), amount)
            ok := call(gas(), token, 0, m, 100, 0, 32) // at most one word back, into scratch space
            switch returndatasize()
            case 0 {
                ok := and(ok, iszero(iszero(extcodesize(token)))) // nothing returned: fine if there is a token at all
            }
            default {
                ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), 1))) // otherwise exactly true
            }
        }
        if (!ok) revert IEscrow.TransferFailed(token, from, to, amount);
    }

    /// The diamond's own balance. Zero when the token does not answer: the delta check then fails.
    function ownBalance(address token) internal view returns (uint256 units) {
        assembly ("memory-safe") {
            mstore(0, shl(224, 0x70a08231)) // balanceOf(address), 36 bytes in scratch space
            mstore(4, address())
            if staticcall(gas(), token, 0, 36, 0, 32) {
                if gt(returndatasize(), 31) {
                    units := mload(0)
                }
            }
        }
    }
}
