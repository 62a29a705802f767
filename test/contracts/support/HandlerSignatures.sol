// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, Terms} from "../../../contracts/interfaces/IEscrow.sol";
import {Vm} from "./Vm.sol";

/// Signs for the parties of the invariant tests what wallets would sign, written out from EIP-712 once more.
library HandlerSignatures {
    Vm private constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    string private constant TERMS =
        "Terms(uint256 ref,address operator,address payee,address payer,address token,uint256 amount,uint256 fee,address feeRecipient,address arbiter,uint256 depositDeadline,uint256 settlementDeadline,uint256 resolutionDeadline,uint8 defaultOutcome)";
    string private constant STUB =
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,";
    string private constant PERMISSIONS = "TokenPermissions(address token,uint256 amount)";

    /// An ERC-3009 authorization that opens `id`, valid up to `validBefore` (exclusive).
    function authorization(
        uint256 key,
        bytes32 tokenDomain,
        address diamond,
        Terms memory terms,
        DealId id,
        uint256 validBefore
    ) internal pure returns (bytes memory) {
        bytes32 content = keccak256(
            abi.encode(
                keccak256(
                    "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
                ),
                terms.payer,
                diamond,
                terms.amount,
                0,
                validBefore,
                id
            )
        );
        return sign(key, tokenDomain, content);
    }

    /// A Permit2 transfer with the terms as witness.
    function permit2Deal(
        uint256 key,
        address permit2,
        address diamond,
        Terms memory terms,
        uint256 nonce,
        uint256 deadline
    ) internal view returns (bytes memory) {
        bytes32 permitType = keccak256(abi.encodePacked(STUB, "Terms witness)", TERMS, PERMISSIONS));
        bytes32 permitted = keccak256(abi.encode(keccak256(bytes(PERMISSIONS)), terms.token, terms.amount));
        bytes32 witness = keccak256(abi.encode(keccak256(bytes(TERMS)), terms));
        bytes32 content = keccak256(abi.encode(permitType, permitted, diamond, nonce, deadline, witness));
        return sign(key, permit2Domain(permit2), content);
    }

    /// A Permit2 transfer with a cart as witness.
    /// @param sum Token and amount of the whole cart, as terms.
    function permit2Cart(
        uint256 key,
        address permit2,
        address diamond,
        Terms memory sum,
        bytes32 deals,
        uint256 nonce,
        uint256 deadline
    ) internal view returns (bytes memory) {
        bytes32 permitType = keccak256(abi.encodePacked(STUB, "Cart witness)Cart(bytes32 deals)", PERMISSIONS));
        bytes32 permitted = keccak256(abi.encode(keccak256(bytes(PERMISSIONS)), sum.token, sum.amount));
        bytes32 witness = keccak256(abi.encode(keccak256("Cart(bytes32 deals)"), deals));
        bytes32 content = keccak256(abi.encode(permitType, permitted, diamond, nonce, deadline, witness));
        return sign(key, permit2Domain(permit2), content);
    }

    function permit2Domain(address permit2) private view returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
                    keccak256("Permit2"),
                    block.chainid,
                    permit2
                )
            );
    }

    /// What payer and payee sign to split a deal.
    /// @param numbers released, refunded, toPayee, toPayer and the deadline.
    function settlement(
        uint256 key,
        address diamond,
        DealId id,
        uint256[5] memory numbers
    ) internal view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Dealkeep"),
                keccak256("1"),
                block.chainid,
                diamond
            )
        );
        bytes32 settlementType = keccak256(
            "Settlement(bytes32 deal,uint256 released,uint256 refunded,uint256 toPayee,uint256 toPayer,uint256 deadline)"
        );
        return sign(key, domain, keccak256(abi.encode(settlementType, id, numbers)));
    }

    function sign(uint256 key, bytes32 domain, bytes32 content) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, content)));
        return abi.encodePacked(r, s, v);
    }
}
