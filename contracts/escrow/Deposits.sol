// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IERC3009Signature} from "../interfaces/IERC3009Signature.sol";
import {DealId, DealState, IEscrow, Status, Terms} from "../interfaces/IEscrow.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";
import {DealStates} from "../libraries/DealStates.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";
import {TermsCheck} from "../libraries/TermsCheck.sol";
import {TermsHash} from "../libraries/TermsHash.sol";
import {TokenTransfers} from "../libraries/TokenTransfers.sol";
import {Witness} from "../libraries/Witness.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// The ways a deal is opened. Each checks the terms, writes the deal, tells the log, and only then takes the tokens
/// and counts what came. Tokens come from the caller, or from a payer whose signature commits to the deal.
abstract contract Deposits is EscrowBase {
    using DealStates for DealState;
    using TermsHash for Terms;

    /// keccak256 of `Deposited`'s signature
    bytes32 private constant DEPOSITED = 0x3549d09e0ae32598227363a2d65e2fa068c20d720e2ff7a5768c200086bcf667;
    /// A deal that holds its whole amount.
    DealState private constant FUNDED = DealState.wrap(uint256(Status.Funded) << 240);

    IPermit2 private immutable PERMIT2;

    constructor(IPermit2 permit2_) {
        PERMIT2 = permit2_;
    }

    /// @inheritdoc IEscrow
    function deposit(Terms calldata terms) external guarded {
        _open(terms);
        _takeExactly(terms.token, terms.amount);
    }

    /// @inheritdoc IEscrow
    function depositWithPermit(Terms calldata terms, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external guarded {
        _open(terms);
        // A permit that fails may have been used by somebody else before: whether the allowance stands is what counts.
        try IERC20Permit(terms.token).permit(msg.sender, address(this), terms.amount, deadline, v, r, s) {} catch {}
        _takeExactly(terms.token, terms.amount);
    }

    /// @inheritdoc IEscrow
    function depositWithAuthorization(
        Terms calldata terms,
        uint256 validAfter,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external guarded {
        address payer = _namedPayer(terms);
        bytes32 nonce = DealId.unwrap(_open(terms));
        address token = terms.token;
        uint256 amount = terms.amount;
        uint256 before = TokenTransfers.ownBalance(token);
        IERC3009(token).receiveWithAuthorization(payer, address(this), amount, validAfter, validBefore, nonce, v, r, s);
        _requireReceived(token, before, amount);
    }

    /// @inheritdoc IEscrow
    function depositWithAuthorization(
        Terms calldata terms,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external guarded {
        address payer = _namedPayer(terms);
        bytes32 nonce = DealId.unwrap(_open(terms));
        _receive(terms.token, payer, terms.amount, validAfter, validBefore, nonce, signature);
    }

    /// @inheritdoc IEscrow
    function depositWithPermit2(
        Terms calldata terms,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external guarded {
        address payer = _namedPayer(terms);
        _open(terms);
        bytes32 witness = Witness.ofTerms(terms);
        _takeByPermit2(terms.token, payer, terms.amount, nonce, deadline, witness, Witness.TERMS, signature);
    }

    /// @inheritdoc IEscrow
    function depositMany(Terms[] calldata list) external guarded {
        _requireBatch(list.length);
        address token = list[0].token;
        uint256 sum;
        for (uint256 i; i < list.length; ++i) {
            Terms calldata terms = list[i];
            if (terms.token != token) revert CartMixed(terms.token, token);
            _open(terms);
            unchecked {
                sum += terms.amount; // at most MAX_BATCH * 2^120
            }
        }
        _takeExactly(token, sum);
    }

    /// @inheritdoc IEscrow
    function depositManyWithAuthorization(
        Terms[] calldata list,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external guarded {
        (uint256 sum, bytes32 deals) = _openCart(list);
        _receive(list[0].token, list[0].payer, sum, validAfter, validBefore, deals, signature);
    }

    /// @inheritdoc IEscrow
    function depositManyWithPermit2(
        Terms[] calldata list,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external guarded {
        (uint256 sum, bytes32 deals) = _openCart(list);
        bytes32 witness = Witness.ofCart(deals);
        _takeByPermit2(list[0].token, list[0].payer, sum, nonce, deadline, witness, Witness.CART, signature);
    }

    /// @inheritdoc IEscrow
    function permit2() external view returns (address) {
        return address(PERMIT2);
    }

    /// Checks the terms, opens the deal and emits `Deposited`. The caller accepts an offer for itself.
    function _open(Terms calldata terms) private returns (DealId id) {
        address token = terms.token;
        uint256 policy = EscrowStorage.store().policies[token];
        if (policy != EscrowStorage.POLICY_ALLOWED) _revertPolicy(token, policy);

        address payer = terms.payer;
        if (payer == address(0)) {
            DealId offer = terms.hash();
            if (_state(offer).status() != Status.None) revert OfferClosed(offer);
            payer = msg.sender;
            id = terms.hashFor(payer);
        } else {
            id = terms.hash();
        }
        TermsCheck.check(terms, payer);

        DealState state = _state(id);
        if (DealState.unwrap(state) != 0) revert WrongStatus(state.status(), Status.None); // None is an empty slot
        _setState(id, FUNDED);
        _logDeposited(terms, id, payer);
    }

    /// Opens every deal of a cart that one payer signed for, in one token.
    /// @return sum What they hold together.
    /// @return deals The keccak256 of all ids in order.
    function _openCart(Terms[] calldata list) private returns (uint256 sum, bytes32 deals) {
        _requireBatch(list.length);
        address token = list[0].token;
        address payer = _namedPayer(list[0]);
        bytes32[] memory ids = new bytes32[](list.length);
        for (uint256 i; i < list.length; ++i) {
            Terms calldata terms = list[i];
            if (terms.token != token) revert CartMixed(terms.token, token);
            if (terms.payer != payer) revert CartMixed(terms.payer, payer);
            ids[i] = DealId.unwrap(_open(terms));
            unchecked {
                sum += terms.amount; // at most MAX_BATCH * 2^120
            }
        }
        deals = keccak256(abi.encodePacked(ids));
    }

    /// The payer of terms that somebody else may relay.
    function _namedPayer(Terms calldata terms) private pure returns (address payer) {
        payer = terms.payer;
        if (payer == address(0)) revert PayerMissing();
    }

    function _revertPolicy(address token, uint256 policy) private pure {
        if (policy & EscrowStorage.POLICY_ALLOWED == 0) revert TokenNotAllowed(token);
        revert DepositsPaused(token);
    }

    /// `emit Deposited(id, payer, terms.payee, terms)` with the payer filled in.
    function _logDeposited(Terms calldata terms, DealId id, address payer) private {
        assembly ("memory-safe") {
            let m := mload(0x40) // scratch above the free memory pointer
            calldatacopy(m, terms, 416) // the 13 words in order
            mstore(add(m, 96), payer) // word 3 is the payer
            log4(m, 416, DEPOSITED, id, payer, calldataload(add(terms, 64))) // word 2 is the payee
        }
    }

    /// Takes the caller's tokens by allowance.
    function _takeExactly(address token, uint256 amount) private {
        uint256 before = TokenTransfers.ownBalance(token);
        TokenTransfers.take(token, msg.sender, address(this), amount);
        _requireReceived(token, before, amount);
    }

    /// Takes `payer`'s tokens by an ERC-3009 signature of any length.
    function _receive(
        address token,
        address payer,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) private {
        uint256 before = TokenTransfers.ownBalance(token);
        IERC3009Signature(token).receiveWithAuthorization(
            payer,
            address(this),
            amount,
            validAfter,
            validBefore,
            nonce,
            signature
        );
        _requireReceived(token, before, amount);
    }

    /// Takes `payer`'s tokens by a Permit2 signature that commits to `witness`.
    function _takeByPermit2(
        address token,
        address payer,
        uint256 amount,
        uint256 nonce,
        uint256 deadline,
        bytes32 witness,
        string memory witnessType,
        bytes calldata signature
    ) private {
        uint256 before = TokenTransfers.ownBalance(token);
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, amount), nonce, deadline),
            IPermit2.SignatureTransferDetails(address(this), amount),
            payer,
            witness,
            witnessType,
            signature
        );
        _requireReceived(token, before, amount);
    }

    /// Reverts unless the balance rose by exactly `amount`.
    function _requireReceived(address token, uint256 before, uint256 amount) private view {
        uint256 received;
        unchecked {
            received = TokenTransfers.ownBalance(token) - before; // a fall wraps to a number no amount can be
        }
        if (received != amount) revert WrongDelta(received, amount);
    }
}
