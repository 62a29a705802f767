// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, DealState, IEscrow, Status, Terms} from "../interfaces/IEscrow.sol";
import {DealStates} from "../libraries/DealStates.sol";
import {EscrowStorage} from "../libraries/EscrowStorage.sol";
import {TermsCheck} from "../libraries/TermsCheck.sol";
import {TermsHash} from "../libraries/TermsHash.sol";
import {TokenTransfers} from "../libraries/TokenTransfers.sol";
import {EscrowBase} from "./EscrowBase.sol";

/// The ways a deal is opened. Each checks the terms, writes the deal, tells the log, and only then takes the tokens
/// and counts what came.
abstract contract Deposits is EscrowBase {
    using DealStates for DealState;
    using TermsHash for Terms;

    /// keccak256 of `Deposited`'s signature
    bytes32 private constant DEPOSITED = 0x3549d09e0ae32598227363a2d65e2fa068c20d720e2ff7a5768c200086bcf667;
    /// A deal that holds its whole amount.
    DealState internal constant FUNDED = DealState.wrap(uint256(Status.Funded) << 240);

    /// @inheritdoc IEscrow
    function deposit(Terms calldata terms) external guarded {
        _open(terms);
        address token = terms.token;
        uint256 before = TokenTransfers.ownBalance(token);
        TokenTransfers.take(token, msg.sender, address(this), terms.amount);
        _requireReceived(token, before, terms.amount);
    }

    /// Checks the terms, opens the deal and emits `Deposited`. The caller accepts an offer for itself.
    function _open(Terms calldata terms) internal returns (DealId id) {
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
        if (state.status() != Status.None) revert WrongStatus(state.status(), Status.None);
        _setState(id, FUNDED);
        _logDeposited(terms, id, payer);
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

    /// Reverts unless the balance rose by exactly `amount`.
    function _requireReceived(address token, uint256 before, uint256 amount) internal view {
        uint256 received;
        unchecked {
            received = TokenTransfers.ownBalance(token) - before; // a fall wraps to a number no amount can be
        }
        if (received != amount) revert WrongDelta(received, amount);
    }
}
