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

    /// @notice Part of what is held went back to the payer.
    /// @param state The deal's state afterwards.
    event Refunded(DealId indexed id, DealState state);

    /// @notice The deadline passed and everything held left towards the payee, as the terms provide.
    /// @param state The deal's state afterwards.
    event Claimed(DealId indexed id, DealState state);

    /// @notice The deadline passed and everything held went back to the payer, as the terms provide.
    /// @param state The deal's state afterwards.
    event Reclaimed(DealId indexed id, DealState state);

    /// @notice The payee gave back released money out of its own pocket. Afterwards `released + refunded - amount` is
    /// what was given back so far.
    /// @param state The deal's state afterwards.
    event PaymentReturned(DealId indexed id, DealState state);

    /// @notice The deal is frozen but for concessions. Bit 248 of the state tells that the payee opened it.
    /// @param state The deal's state afterwards.
    /// @param evidence The hash of what is claimed, or zero.
    event DisputeOpened(DealId indexed id, DealState state, bytes32 evidence);

    /// @notice Who opened the dispute gave it up: the deal is Funded again.
    /// @param state The deal's state afterwards.
    event DisputeWithdrawn(DealId indexed id, DealState state);

    /// @notice The arbiter split what was held.
    /// @param state The deal's state afterwards.
    event Resolved(DealId indexed id, DealState state);

    /// @notice Payer and payee split what was held.
    /// @param state The deal's state afterwards.
    event DealSettled(DealId indexed id, DealState state);

    /// @notice An entry of a batch was left as it is.
    /// @param reason The selector of the error that the verb would have reverted with.
    event Skipped(DealId indexed id, bytes4 reason);

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
    /// @notice The deadline that this verb waits for is not over yet.
    error BeforeDeadline(uint256 timestamp, uint256 deadline);
    /// @notice The terms provide another outcome by default.
    error WrongOutcome(Outcome actual, Outcome expected);
    /// @notice The terms name no arbiter.
    error NoArbiter();
    /// @notice A relayed deposit needs terms that name the payer.
    error PayerMissing();
    /// @notice A cart mixes payers or tokens.
    error CartMixed(address actual, address expected);
    /// @notice A batch is empty or too large.
    error BatchSize(uint256 size, uint256 max);
    /// @notice The signature is not the signer's.
    error SignatureInvalid(address signer, bytes32 digest);
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

    /// @notice `deposit` after setting the caller's allowance by ERC-2612, for the deal's amount.
    /// @dev The permit is always the caller's own; one that was used already (front-run) does no harm, because only the
    /// allowance counts. Reverts if: as `deposit`. Emits `Deposited`.
    function depositWithPermit(Terms calldata terms, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Opens the deal with the payer's tokens, moved by the payer's ERC-3009 signature. Anyone may relay it.
    /// @dev The authorization is `ReceiveWithAuthorization` to the diamond with the deal's id as nonce, so it can open
    /// this deal only. Reverts if: as `deposit`; the terms name no payer; the token refuses the signature.
    /// Emits `Deposited`.
    function depositWithAuthorization(
        Terms calldata terms,
        uint256 validAfter,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice The same with a signature of any length, for payers with code (ERC-1271).
    function depositWithAuthorization(
        Terms calldata terms,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external;

    /// @notice Opens the deal with the payer's tokens, moved by Permit2. Anyone may relay it.
    /// @dev The payer signs `PermitWitnessTransferFrom` with the terms as witness (`Terms witness`), so it can open this
    /// deal only. Sequential nonces are the cheapest: 256 of them share a slot.
    /// Reverts if: as `deposit`; the terms name no payer; Permit2 refuses the signature. Emits `Deposited`.
    function depositWithPermit2(
        Terms calldata terms,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Opens several deals in one token with one pull from the caller, all or nothing.
    /// @dev Reverts if: as `deposit`, for any entry; the batch is empty or above `MAX_BATCH`; tokens are mixed.
    /// Emits `Deposited` for each.
    function depositMany(Terms[] calldata list) external;

    /// @notice Opens several deals of one payer in one token by one ERC-3009 signature. Anyone may relay it.
    /// @dev The nonce is the keccak256 of all ids in order. Reverts if: as `depositWithAuthorization`, for any entry; the
    /// batch is empty or above `MAX_BATCH`; tokens or payers are mixed. Emits `Deposited` for each.
    function depositManyWithAuthorization(
        Terms[] calldata list,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external;

    /// @notice Opens several deals of one payer in one token by one Permit2 signature. Anyone may relay it.
    /// @dev The witness is `Cart(bytes32 deals)`, the keccak256 of all ids in order. Reverts if: as `depositWithPermit2`,
    /// for any entry; the batch is empty or above `MAX_BATCH`; tokens or payers are mixed. Emits `Deposited` for each.
    function depositManyWithPermit2(
        Terms[] calldata list,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Pays everything held to the payee, less the fee that accrues.
    /// @dev The payer any time while money is held; the operator (or its delegate) until `settlementDeadline` while
    /// undisputed. Reverts if: nothing is held; the caller is neither; the operator is late or the deal disputed.
    /// Emits `Released`, and `Credited` when the payee can't be paid.
    function release(Terms calldata terms) external;

    /// @notice Pays `amount` of what is held to the payee, less the fee that accrues on it.
    /// @param amount In base units, fee included, 1 .. held.
    /// @dev As `release`. Reverts also if: the amount is zero or above what is held.
    function releasePart(Terms calldata terms, uint256 amount) external;

    /// @notice Releases each deal that the caller may release and skips the others.
    /// @dev Reverts if: the batch is empty or above `MAX_BATCH`. Emits `Released` or `Skipped` for each, and `Credited`.
    function releaseMany(Terms[] calldata list) external;

    /// @notice Unfunded: closes the offer or deal for good. Funded: refunds everything held to the payer.
    /// @dev Unfunded: operator (or its delegate) or payee, any time. Funded: the payee any time while money is held; the
    /// operator until `settlementDeadline` while undisputed.
    /// Reverts if: the deal was closed or settled before; the caller is neither; the operator is late or the deal disputed.
    /// Emits `DealCancelled`, and `Credited` when the payer can't be paid.
    function cancelDeal(Terms calldata terms) external;

    /// @notice Cancels each deal that the caller may cancel and skips the others.
    /// @dev Reverts if: the batch is empty or above `MAX_BATCH`. Emits `DealCancelled` or `Skipped` for each, and
    /// `Credited`.
    function cancelMany(Terms[] calldata list) external;

    /// @notice Pays `amount` of what is held back to the payer.
    /// @param amount In base units, 1 .. held.
    /// @dev The payee any time while money is held; the operator until `settlementDeadline` while undisputed.
    /// Reverts if: nothing is held; the caller is neither; the operator is late or the deal disputed; the amount is zero
    /// or above what is held. Emits `Refunded`, and `Credited` when the payer can't be paid.
    function refundPart(Terms calldata terms, uint256 amount) external;

    /// @notice Pays everything held to the payee when nobody decided in time and release is the default. Anyone may call.
    /// @dev After `settlementDeadline`, or after `resolutionDeadline` when disputed.
    /// Reverts if: nothing is held; the deadline is not over; refund is the default.
    /// Emits `Claimed`, and `Credited` when the payee can't be paid.
    function claim(Terms calldata terms) external;

    /// @notice Pays everything held to the payer when nobody decided in time and refund is the default. Anyone may call.
    /// @dev After `settlementDeadline`, or after `resolutionDeadline` when disputed.
    /// Reverts if: nothing is held; the deadline is not over; release is the default.
    /// Emits `Reclaimed`, and `Credited` when the payer can't be paid.
    function reclaim(Terms calldata terms) external;

    /// @notice Gives released money back, from the payee's own tokens by allowance straight to the payer.
    /// @param amount In base units, 1 .. released and not given back yet. Fees stay where they are.
    /// @dev The payee, once the deal is Settled.
    /// Reverts if: the deal is not Settled; the caller is not the payee; the amount is zero or above what was released
    /// and not given back; the token refuses. Emits `PaymentReturned`.
    function returnPayment(Terms calldata terms, uint256 amount) external;

    /// @notice Freezes the deal until the arbiter resolves it.
    /// @param evidence The hash of what is claimed, or zero.
    /// @dev Payer or payee, until `settlementDeadline`.
    /// Reverts if: the deal is not Funded; the terms name no arbiter; the caller is neither; the deadline is over.
    /// Emits `DisputeOpened`.
    function openDispute(Terms calldata terms, bytes32 evidence) external;

    /// @notice Gives the dispute up: the deal is Funded again, with its deadlines unchanged.
    /// @dev Whoever of payer and payee opened it, any time.
    /// Reverts if: the deal is not Disputed; the caller did not open it. Emits `DisputeWithdrawn`.
    function withdrawDispute(Terms calldata terms) external;

    /// @notice Splits what is held: `toPayee` (fee included) to the payee, the rest to the payer.
    /// @param toPayee In base units, 0 .. held.
    /// @dev The arbiter, until `resolutionDeadline`.
    /// Reverts if: the deal is not Disputed; the caller is not the arbiter; the deadline is over; the amount is above
    /// what is held. Emits `Resolved`, and `Credited` for whoever can't be paid.
    function resolve(Terms calldata terms, uint256 toPayee) external;

    /// @notice Splits what is held as payer and payee agreed, in a dispute or not: `toPayee` (fee included) to the payee,
    /// the rest to the payer. Anyone may relay the signatures.
    /// @param toPayee In base units, 0 .. held.
    /// @param deadline Unix seconds; the last second in which the signatures hold.
    /// @param payerSignature EIP-712 `Settlement(bytes32 deal,uint256 released,uint256 refunded,uint256 toPayee,
    /// uint256 toPayer,uint256 deadline)`, released and refunded being what was settled before; ERC-1271 for accounts
    /// with code. Not looked at when the payer calls.
    /// @param payeeSignature The same by the payee. Not looked at when the payee calls.
    /// @dev Reverts if: nothing is held; the deadline is over; the amount is above what is held; a signature is not of
    /// these numbers, this deal, chain and diamond. Emits `DealSettled`, and `Credited` for whoever can't be paid.
    function settle(
        Terms calldata terms,
        uint256 toPayee,
        uint256 deadline,
        bytes calldata payerSignature,
        bytes calldata payeeSignature
    ) external;

    /// @notice Pays the whole credit of `account` to `account`. Anyone may call.
    /// @dev Reverts if: there is no credit; the token refuses the transfer. Emits `Withdrawn`.
    function withdraw(address token, address account) external;

    // -------------------------------------------------------------------------------------------------------- views

    /// @notice The id of a deal with these terms on this chain and diamond; with payer zero the id of the offer.
    function dealId(Terms calldata terms) external view returns (DealId);

    /// @notice The state of a deal; all zero when it was never opened.
    function getDeal(DealId id) external view returns (Deal memory);

    /// @notice The Permit2 that `depositWithPermit2` trusts.
    function permit2() external view returns (address);

    /// @notice What `withdraw` would pay, in base units.
    function creditOf(address token, address account) external view returns (uint256);
}
