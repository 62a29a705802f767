// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Terms} from "../interfaces/IEscrow.sol";

/// What a payer commits to beside a Permit2 transfer. The type strings are rebuilt from types in contracts/typed-data.ts;
/// referenced types stand in alphabetical order, as EIP-712 wants.
library Witness {
    bytes32 internal constant TERMS_TYPE = keccak256(
        "Terms(uint256 ref,address operator,address payee,address payer,address token,uint256 amount,uint256 fee,address feeRecipient,address arbiter,uint256 depositDeadline,uint256 settlementDeadline,uint256 resolutionDeadline,uint8 defaultOutcome)"
    );
    string internal constant TERMS =
        "Terms witness)Terms(uint256 ref,address operator,address payee,address payer,address token,uint256 amount,uint256 fee,address feeRecipient,address arbiter,uint256 depositDeadline,uint256 settlementDeadline,uint256 resolutionDeadline,uint8 defaultOutcome)TokenPermissions(address token,uint256 amount)";

    bytes32 internal constant CART_TYPE = keccak256("Cart(bytes32 deals)");
    string internal constant CART = "Cart witness)Cart(bytes32 deals)TokenPermissions(address token,uint256 amount)";

    /// hashStruct(terms): a type hash and 13 words, 448 bytes. Every word was range-checked before.
    function ofTerms(Terms calldata terms) internal pure returns (bytes32 witness) {
        bytes32 typeHash = TERMS_TYPE;
        assembly ("memory-safe") {
            let m := mload(0x40) // scratch above the free memory pointer
            mstore(m, typeHash)
            calldatacopy(add(m, 32), terms, 416) // the 13 words in order
            witness := keccak256(m, 448)
        }
    }

    /// @param deals keccak256 of all ids in order.
    function ofCart(bytes32 deals) internal pure returns (bytes32) {
        return keccak256(abi.encode(CART_TYPE, deals));
    }
}
