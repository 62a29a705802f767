// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// Identifies a deal: the hash of its terms, the chain and the diamond (see `dealId`).
type DealId is bytes32;

/// What storage keeps of a deal, in one slot: released (low 120 bits), refunded (next 120), status (next 8),
/// and one flag (next bit, only while Disputed: the payee opened the dispute).
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

/// @title The escrow
/// @notice Holds a payer's tokens for a payee until a deal is released or refunded. The terms of a deal are passed to
/// every call and only their hash is stored. Money of a deal can reach its payee, its payer and its fee recipient,
/// nobody else. Amounts are base units of the deal's token, times are Unix seconds.
interface IEscrow {
    // ------------------------------------------------------------------------------------------------------- events

    /// @notice A deal was opened and its whole amount is held. State: Funded, nothing released, nothing refunded.
    /// @param terms The full terms, `payer` filled in when an offer was accepted.
    event Deposited(DealId indexed id, address indexed payer, address indexed payee, Terms terms);

    /// @notice Held money left towards the payee. The fee accrued by it is `feeAt(released) - feeAt(released before)`
    /// with `feeAt(x) = floor(fee * x / amount)`, credited to the fee recipient without an event of its own.
    /// @param state The deal's state afterwards.
    event Released(DealId indexed id, DealState state);

    /// @notice Everything held went back to the payer (Settled), or the deal was closed before a deposit (Cancelled).
    /// @param state The deal's state afterwards.
    event DealCancelled(DealId indexed id, DealState state);

    /// @notice A push to `account` failed; the amount waits for `withdraw`. Fees are credited without this event.
    event Credited(address indexed token, address indexed account, uint256 amount);

    /// @notice A credit was paid to its owner in full.
    event Withdrawn(address indexed token, address indexed account, uint256 amount);

    // ------------------------------------------------------------------------------------------------------- errors

    /// @notice A token called back into the diamond.
    error Reentered();
    /// @notice The caller is neither of those who may do this now (zero: nobody).
    error NotAllowed(address caller, address oneAllowed, address otherAllowed);
    /// @notice The deal is in another status than the verb needs.
    error WrongStatus(Status actual, Status expected);
    /// @notice The offer was closed before this deposit.
    error OfferClosed(DealId offer);
    /// @notice The last second for a deposit is over.
    error DepositAfterDeadline(uint256 timestamp, uint256 deadline);
    /// @notice The last second for this verb is over.
    error AfterDeadline(uint256 timestamp, uint256 deadline);
    /// @notice The token is not on the allow-list.
    error TokenNotAllowed(address token);
    /// @notice New deposits of the token are paused.
    error DepositsPaused(address token);
    /// @notice A word of the terms has bits beyond its type.
    error WordOutOfRange(uint256 word, uint256 max);
    /// @notice An amount is zero or above what is possible.
    error AmountOutOfRange(uint256 amount, uint256 max);
    /// @notice The fee is above the amount.
    error FeeOutOfRange(uint256 fee, uint256 amount);
    /// @notice A fee without a recipient, or a recipient that could never withdraw it.
    error FeeRecipientInvalid(address feeRecipient, uint256 fee);
    /// @notice Nobody operates the deal.
    error OperatorInvalid(address operator);
    /// @notice The payee is zero or the same as another role, the token or the diamond.
    error PayeeInvalid(address payee, address clash);
    /// @notice The payer is the token or the diamond.
    error PayerInvalid(address payer, address clash);
    /// @notice The arbiter is the payer or the payee.
    error ArbiterInvalid(address arbiter, address clash);
    /// @notice Two deadlines are out of order or closer than the minimum gap (seconds).
    error DeadlineGap(uint256 earlier, uint256 later, uint256 minimumGap);
    /// @notice The last deadline is too far away.
    error DeadlineTooFar(uint256 deadline, uint256 max);
    /// @notice The diamond received another amount than the deal needs.
    error WrongDelta(uint256 received, uint256 expected);
    /// @notice The token refused a transfer.
    error TransferFailed(address token, address from, address to, uint256 amount);
    /// @notice Too little gas for a push, so its failure would prove nothing.
    error PushOutOfGas(uint256 gasLeft, uint256 gasNeeded);
    /// @notice The account has no credit in the token.
    error NothingToWithdraw(address token, address account);

    // -------------------------------------------------------------------------------------------------------- verbs

    /// @notice Opens the deal with the caller's tokens, taken by allowance; the whole amount is held afterwards.
    /// @dev Anyone may call until `depositDeadline`. For an offer (payer zero) the caller becomes the payer, otherwise
    /// the caller pays for the payer named, to whom any refund goes.
    /// Reverts if: the token is off the list or paused; a field is out of range; the deadline is over; the deal was
    /// opened or closed before; the offer was closed; the diamond does not receive exactly the amount.
    /// Emits `Deposited`.
    function deposit(Terms calldata terms) external;

    /// @notice Pays everything held to the payee, less the fee that accrues.
    /// @dev The payer any time while money is held; the operator until `settlementDeadline` while undisputed.
    /// Reverts if: nothing is held; the caller is neither; the operator is late.
    /// Emits `Released`, and `Credited` when the payee can't be paid.
    function release(Terms calldata terms) external;

    /// @notice Unfunded: closes the offer or deal for good. Funded: refunds everything held to the payer.
    /// @dev Unfunded: operator or payee, any time. Funded: the payee any time while money is held; the operator until
    /// `settlementDeadline` while undisputed.
    /// Reverts if: nothing is held and the deal was opened or closed before; the caller is neither; the operator is late.
    /// Emits `DealCancelled`, and `Credited` when the payer can't be paid.
    function cancelDeal(Terms calldata terms) external;

    /// @notice Pays the whole credit of `account` to `account`. Anyone may call.
    /// @dev Reverts if: there is no credit; the token refuses the transfer. Emits `Withdrawn`.
    function withdraw(address token, address account) external;

    // -------------------------------------------------------------------------------------------------------- views

    /// @notice The id of a deal with these terms on this chain and diamond; with payer zero the id of the offer.
    function dealId(Terms calldata terms) external view returns (DealId);

    /// @notice The state of a deal; all zero when it was never opened.
    function getDeal(DealId id) external view returns (Deal memory);

    /// @notice What `withdraw` would pay, in base units.
    function creditOf(address token, address account) external view returns (uint256);
}
