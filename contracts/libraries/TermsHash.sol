// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, Terms} from "../interfaces/IEscrow.sol";

/// Hashes terms to ids: keccak256(abi.encode(terms, chain id, diamond)), 15 words, without the encoder's copying.
/// The plain-Solidity twin lives in test/contracts/Twins.t.sol.
library TermsHash {
    function hash(Terms calldata terms) internal view returns (DealId id) {
        assembly ("memory-safe") {
            let m := mload(0x40) // scratch above the free memory pointer, given back on leaving
            calldatacopy(m, terms, 416) // the 13 words in order
            mstore(add(m, 416), chainid())
            mstore(add(m, 448), address())
            id := keccak256(m, 480)
        }
    }

    /// The id of the same terms with `payer` in place of the payer they carry.
    function hashFor(Terms calldata terms, address payer) internal view returns (DealId id) {
        assembly ("memory-safe") {
            let m := mload(0x40) // scratch above the free memory pointer, given back on leaving
            calldatacopy(m, terms, 416) // the 13 words in order
            mstore(add(m, 96), payer) // word 3 is the payer
            mstore(add(m, 416), chainid())
            mstore(add(m, 448), address())
            id := keccak256(m, 480)
        }
    }
}
