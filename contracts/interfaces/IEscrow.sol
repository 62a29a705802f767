// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// Identifies a deal: the hash of its terms, the chain and the diamond (see `dealId`).
type DealId is bytes32;

/// What storage keeps of a deal, in one slot: released (low 120 bits), refunded (next 120), status (high 16).
/// Events after `Deposited` carry it, so the state of every deal can be rebuilt from the logs.
type DealState is uint256;

/// What happens to held money when nobody decided before a deadline.
enum Outcome {
    Refund,
    Release
}

/// None: never opened. Funded: money is held. Disputed: frozen but for concessions.
/// Cancelled: closed before any deposit, for good. Settled: nothing is held any more.
enum Status {
    None,
    Funded,
    Disputed,
    Cancelled,
    Settled
}

/// What payer and payee agree on. Travels in calldata; only its hash identifies the deal.
/// Terms whose `payer` is zero are an offer: the first depositor becomes the payer.
struct Terms {
    /// The API's deal number (high 64 bits) and a random salt (low 192 bits).
    uint256 ref;
    /// May release to the payee or refund the payer before `settlementDeadline`; nothing else.
    address operator;
    address payee;
    address payer;
    address token;
    /// In the token's base units, 1 .. 2^120 - 1.
    uint256 amount;
    /// Taken from what is released, for the whole amount, in base units, 0 .. amount.
    uint256 fee;
    /// Zero only when `fee` is zero.
    address feeRecipient;
    /// Zero: no disputes.
    address arbiter;
    /// Unix seconds; the last second in which a deposit is accepted.
    uint256 depositDeadline;
    /// Unix seconds; the last second in which the operator may act. Afterwards `defaultOutcome` is anybody's to call.
    uint256 settlementDeadline;
    /// Unix seconds; the last second in which the arbiter may resolve a dispute.
    uint256 resolutionDeadline;
    Outcome defaultOutcome;
}

/// A deal's state, unpacked.
struct Deal {
    /// Gross amount that left the escrow towards the payee, fee included, in base units.
    uint256 released;
    /// Amount that went back to the payer, in base units.
    uint256 refunded;
    Status status;
}
