// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IEscrow} from "../interfaces/IEscrow.sol";

/// EIP-712 digests of this diamond, and who signed them: keys, or accounts with code (ERC-1271).
library Signatures {
    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant NAME = keccak256("Dealkeep");
    bytes32 private constant VERSION = keccak256("1");
    /// Half the order of secp256k1: of the two values of s that sign the same, only the lower one counts.
    uint256 private constant MAX_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// The domain is hashed anew every time, so a fork of the chain has its own.
    function digest(bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, block.chainid, address(this)));
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    /// Reverts with `SignatureInvalid` unless `signer` signed `hash`.
    /// A key is tried first: an account with delegated code (EIP-7702) still signs by its key.
    function requireSigned(address signer, bytes32 hash, bytes calldata signature) internal view {
        if (signer != address(0) && recover(hash, signature) == signer) return;
        if (signer.code.length == 0 || !approves(signer, hash, signature)) {
            revert IEscrow.SignatureInvalid(signer, hash);
        }
    }

    /// Zero unless the signature is 65 bytes with a low s.
    function recover(bytes32 hash, bytes calldata signature) private pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > MAX_S) return address(0);
        return ecrecover(hash, uint8(signature[64]), r, s);
    }

    /// ERC-1271, reading one word of the answer however long it is.
    function approves(address signer, bytes32 hash, bytes calldata signature) private view returns (bool ok) {
        bytes memory data = abi.encodeCall(IERC1271.isValidSignature, (hash, signature));
        bytes32 magic = IERC1271.isValidSignature.selector;
        assembly ("memory-safe") {
            ok := staticcall(gas(), signer, add(data, 32), mload(data), 0, 32) // answer into scratch space
            ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), magic))) // a whole word that is the selector
        }
    }
}
