/**
 * Every guard of the contracts with what takes it out, the attack that it stands against and the tests that must then
 * fail. It is data only, and one table so that no guard stands in two;
 * scripts/mutate.ts applies it. Line breaks and indentation count, `occurrence` tells equal texts apart.
 */

/** One guard taken out. */
export interface Mutation {
  /** What is taken out; unique. */
  name: string;
  attack: string;
  /** Below contracts/. */
  file: string;
  text: string;
  replacement: string;
  /** Which of equal texts, from 0; the text must be unique when left out. */
  occurrence?: number;
  /** Test files below test/contracts without `.t.sol`. */
  tests: string[];
  /** Why nothing can notice: the mutation is expected to survive. */
  equivalent?: string;
}

type Row = [name: string, text: string, replacement: string, tests: string, occurrence?: number];

function rows(attack: string, file: string, list: Row[]): Mutation[] {
  return list.map(([name, text, replacement, tests, occurrence]) => ({
    name,
    attack,
    file,
    text,
    replacement,
    tests: tests.split(' '),
    ...(occurrence !== undefined && { occurrence }),
  }));
}

/** The table. */
export const mutations: Mutation[] = [
  ...rows('re-entrancy', 'libraries/Guard.sol', [
    ['the guard never closes', 'tstore(SLOT, 1)', 'tstore(SLOT, 0)', 'Reentrancy'],
    ['the guard never opens again', 'tstore(SLOT, 0)', 'tstore(SLOT, 1)', 'Reentrancy'],
  ]),
  ...rows('re-entrancy', 'Diamond.sol', [
    ['facets behind the guard', '        Guard.requireLeft();\n', '', 'Reentrancy'],
  ]),
  ...rows('re-entrancy', 'escrow/EscrowBase.sol', [
    ['disputes behind the guard', '        Guard.requireLeft();\n        _;', '        _;', 'Reentrancy'],
  ]),
  ...rows('re-entrancy', 'escrow/Payouts.sol', [
    [
      'state before payment',
      '        _setState(id, state);\n        emit Released(id, state);\n        _payPayee(terms, released, amount);',
      '        _payPayee(terms, released, amount);\n        _setState(id, state);\n        emit Released(id, state);',
      'Reentrancy',
    ],
  ]),
  ...rows('deposits nobody wants', 'escrow/Deposits.sol', [
    [
      'allow-list and pause',
      'if (policy != EscrowStorage.POLICY_ALLOWED) _revertPolicy(token, policy);',
      '',
      'Deposit',
    ],
    ['a closed offer', 'if (_state(offer).status() != Status.None) revert OfferClosed(offer);', 'offer;', 'Deposit'],
    [
      'an id opens once',
      'if (DealState.unwrap(state) != 0) revert WrongStatus(state.status(), Status.None);',
      'state;',
      'Deposit',
    ],
    ['terms are checked', 'TermsCheck.check(terms, payer);', '', 'TermsCheck'],
    ['exact delta', 'if (received != amount) revert WrongDelta(received, amount);', 'received;', 'Tokens'],
    ['the whole cart is taken', 'sum += terms.amount;', 'sum = terms.amount;', 'DepositRelayed Invariants', 0],
    ['the whole signed cart is taken', 'sum += terms.amount;', 'sum = terms.amount;', 'DepositRelayed', 1],
    [
      'one token a cart',
      '            if (terms.token != token) revert CartMixed(terms.token, token);\n            _open(terms);',
      '            _open(terms);',
      'DepositRelayed',
    ],
    [
      'one token a signed cart',
      '            if (terms.token != token) revert CartMixed(terms.token, token);\n            if (terms.payer',
      '            if (terms.payer',
      'Griefing',
    ],
  ]),
  ...rows('signatures for something else', 'escrow/Deposits.sol', [
    [
      'a 3009 nonce is the deal (v, r, s)',
      '        bytes32 nonce = DealId.unwrap(_open(terms));\n        address token',
      '        _open(terms);\n        bytes32 nonce = 0;\n        address token',
      'DepositRelayed',
    ],
    [
      'a 3009 nonce is the deal (bytes)',
      '        bytes32 nonce = DealId.unwrap(_open(terms));\n        _receive',
      '        _open(terms);\n        bytes32 nonce = 0;\n        _receive',
      'DepositRelayed',
    ],
    ['relayed terms name their payer', 'if (payer == address(0)) revert PayerMissing();', '', 'DepositRelayed'],
    [
      'one payer a signed cart',
      'if (terms.payer != payer) revert CartMixed(terms.payer, payer);',
      '',
      'DepositRelayed',
    ],
    ['the witness is the terms', 'Witness.ofTerms(terms);', 'bytes32(0);', 'DepositRelayed'],
    [
      'a cart binds all ids',
      'keccak256(abi.encodePacked(ids));',
      'keccak256(abi.encodePacked(ids[0]));',
      'DepositRelayed',
    ],
    [
      'a cart of one is no deal',
      'deals = keccak256(abi.encodePacked(ids));',
      'deals = list.length == 1 ? ids[0] : keccak256(abi.encodePacked(ids));',
      'Replay',
    ],
    ['a permit is the caller’s own', '.permit(msg.sender, address', '.permit(terms.payer, address', 'Griefing'],
    [
      'a permit used before does no harm',
      'try IERC20Permit(terms.token).permit(msg.sender, address(this), terms.amount, deadline, v, r, s) {} catch {}',
      'IERC20Permit(terms.token).permit(msg.sender, address(this), terms.amount, deadline, v, r, s);',
      'DepositRelayed',
    ],
    [
      'tokens are the caller’s',
      'TokenTransfers.take(token, msg.sender, address(this), amount);',
      'TokenTransfers.take(token, tx.origin, address(this), amount);',
      'Deposit',
    ],
  ]),
  ...rows('fees shaved or doubled', 'escrow/EscrowBase.sol', [
    [
      'fee by the total, not by the slice',
      '            uint256 before = released == 0 ? 0 : (fee * released) / whole;\n            return (fee * (released + amount)) / whole - before;',
      '            return (fee * amount) / whole;',
      'FeeModel',
    ],
    [
      'fees are credited',
      'if (fee != 0) EscrowStorage.store().credits[token][terms.feeRecipient] += fee;',
      '',
      'FeeModel',
    ],
    [
      'fees leave the payment',
      '_pushOrCredit(token, terms.payee, gross - fee);',
      '_pushOrCredit(token, terms.payee, gross);',
      'FeeModel',
    ],
  ]),
  ...rows('somebody else’s power', 'escrow/EscrowBase.sol', [
    ['delegates act', ' || EscrowStorage.store().delegates[operator][msg.sender]', '', 'Release'],
    [
      'delegates of this operator only',
      'delegates[operator][msg.sender]',
      'delegates[msg.sender][operator]',
      'Release',
    ],
    ['batches are bounded', 'if (size == 0 || size > MAX_BATCH) revert BatchSize(size, MAX_BATCH);', 'size;', 'Batch'],
  ]),
  ...rows('somebody else’s power', 'escrow/Payouts.sol', [
    ['payouts: who', 'if (!_isOperator(terms.operator)) return NotAllowed.selector;', '', 'Release Refund'],
    ['payouts: something is held', 'if (!_isHeld(status)) return WrongStatus.selector;', '', 'Release'],
    ['payouts: no operator in a dispute', 'if (status != Status.Funded) return WrongStatus.selector;', '', 'Release'],
    [
      'concessions are always possible',
      'if (msg.sender == conceding) return 0;',
      'if (msg.sender == conceding && status == Status.Funded) return 0;',
      'Release Deadlines',
    ],
    [
      'concessions never end',
      'if (msg.sender == conceding) return 0;',
      'if (msg.sender == conceding && block.timestamp <= terms.settlementDeadline) return 0;',
      'Deadlines',
    ],
    [
      'who closes an offer',
      'if (!_mayClose(terms)) revert NotAllowed(msg.sender, terms.payee, terms.operator);',
      '',
      'Refund',
    ],
    ['who closes in a batch', 'if (_mayClose(terms)) _close(id);', 'if (true) _close(id);', 'Batch'],
    ['giving back: who', 'if (msg.sender != payee) revert NotAllowed(msg.sender, payee, address(0));', '', 'Refund'],
  ]),
  ...rows('windows that overlap or gape', 'escrow/Payouts.sol', [
    [
      'the operator’s time ends',
      'if (block.timestamp > terms.settlementDeadline) return AfterDeadline.selector;',
      '',
      'Deadlines',
    ],
    [
      'the operator’s last second',
      'block.timestamp > terms.settlementDeadline',
      'block.timestamp >= terms.settlementDeadline',
      'Deadlines',
      0,
    ],
    [
      'the default waits',
      'if (block.timestamp <= deadline) revert BeforeDeadline(block.timestamp, deadline);',
      'deadline;',
      'Deadlines',
    ],
    ['the default’s first second', 'block.timestamp <= deadline', 'block.timestamp < deadline', 'Deadlines'],
    [
      'a dispute’s default waits for the arbiter',
      'status == Status.Disputed ? terms.resolutionDeadline : terms.settlementDeadline',
      'terms.settlementDeadline',
      'Deadlines',
    ],
    [
      'the default outcome is the terms’',
      'if (terms.defaultOutcome != outcome) revert WrongOutcome(terms.defaultOutcome, outcome);',
      '',
      'Release Refund',
    ],
  ]),
  ...rows('money twice', 'escrow/Payouts.sol', [
    [
      'the default needs held money',
      '        if (!_isHeld(status)) revert WrongStatus(status, Status.Funded);\n        if (terms',
      '        if (terms',
      'Release Invariants',
    ],
    ['no part above what is held', 'amount == 0 || amount > held', 'amount == 0', 'Release'],
    ['no part of zero', 'amount == 0 || amount > held', 'amount > held', 'Release'],
    ['giving back ends', 'terms.amount - state.refunded()', 'terms.amount', 'Refund'],
    [
      'giving back only once settled',
      'if (state.status() != Status.Settled) revert WrongStatus(state.status(), Status.Settled);',
      '',
      'Refund',
    ],
    [
      'a release ends the deal',
      'if (amount == held) state = state.withStatus(Status.Settled);\n        state',
      'state',
      'Release',
    ],
    ['bundles are of one token', 'bundle.token != terms.token || ', '', 'Batch'],
    ['bundles are of one payee', 'bundle.payee != terms.payee || ', '', 'Batch'],
    ['bundles are of one fee recipient', ' || bundle.feeRecipient != terms.feeRecipient', '', 'Batch'],
  ]),
  ...rows('money twice', 'escrow/Credits.sol', [
    ['a credit is paid once', '        credits[account] = 0;\n', '', 'Tokens'],
    ['no withdrawal of nothing', 'if (amount == 0) revert NothingToWithdraw(token, account);', '', 'Tokens'],
    [
      'a refused withdrawal keeps the credit',
      '!TokenTransfers.send(token, account, amount, gasleft())',
      '!TokenTransfers.send(token, account, amount, gasleft()) && false',
      'Tokens',
    ],
  ]),
  ...rows('hostile tokens', 'libraries/TokenTransfers.sol', [
    [
      'a starved push is no refusal',
      'if (!ok && gasBefore < PUSH_GAS_NEEDED) revert IEscrow.PushOutOfGas(gasBefore, PUSH_GAS_NEEDED);',
      'gasBefore;',
      'Tokens',
    ],
    [
      'pushes have a cap',
      'ok = send(token, to, amount, PUSH_GAS);',
      'ok = send(token, to, amount, gasleft());',
      'Tokens',
    ],
    [
      'return data is never copied',
      'ok := call(gasCap, token, 0, m, 68, 0, 32)',
      'ok := call(gasCap, token, 0, m, 68, 0, 32)\n            returndatacopy(m, 0, returndatasize())\n',
      'TokenZoo',
    ],
    ['a push needs a token', 'ok := and(ok, iszero(iszero(extcodesize(token))))', 'ok := ok', 'TokenZoo', 0],
    ['a pull needs a token', 'ok := and(ok, iszero(iszero(extcodesize(token))))', 'ok := ok', 'Twins', 1],
    ['a push says true', 'ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), 1)))', 'ok := ok', 'Twins', 0],
    ['a pull says true', 'ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), 1)))', 'ok := ok', 'Twins', 1],
    ['a refused pull reverts', 'if (!ok) revert IEscrow.TransferFailed(token, from, to, amount);', '', 'TokenZoo'],
  ]),
  ...rows('hostile tokens', 'escrow/EscrowBase.sol', [
    [
      'a refused push is credited',
      '        EscrowStorage.store().credits[token][to] += amount;\n        emit',
      '        emit',
      'Tokens',
    ],
  ]),
  ...rows('disputes', 'escrow/Disputes.sol', [
    [
      'opening: funded only',
      'if (state.status() != Status.Funded) revert WrongStatus(state.status(), Status.Funded);',
      '',
      'Dispute',
    ],
    ['opening: an arbiter', 'if (terms.arbiter == address(0)) revert NoArbiter();', '', 'Dispute'],
    [
      'opening: in time',
      'if (block.timestamp > terms.settlementDeadline) revert AfterDeadline(block.timestamp, terms.settlementDeadline);',
      '',
      'Deadlines',
    ],
    [
      'opening: the last second',
      'block.timestamp > terms.settlementDeadline',
      'block.timestamp >= terms.settlementDeadline',
      'Deadlines',
    ],
    [
      'opening: who',
      'else if (msg.sender != terms.payer) revert NotAllowed(msg.sender, terms.payer, terms.payee);',
      '',
      'Dispute',
    ],
    [
      'withdrawing: disputed only',
      'if (state.status() != Status.Disputed) revert WrongStatus(state.status(), Status.Disputed);',
      '',
      'Dispute',
      0,
    ],
    [
      'withdrawing: who',
      'if (msg.sender != opener) revert NotAllowed(msg.sender, opener, address(0));',
      'opener;',
      'Dispute',
    ],
    [
      'resolving: disputed only',
      'if (state.status() != Status.Disputed) revert WrongStatus(state.status(), Status.Disputed);',
      '',
      'Dispute',
      1,
    ],
    [
      'resolving: who',
      'if (msg.sender != terms.arbiter) revert NotAllowed(msg.sender, terms.arbiter, address(0));',
      '',
      'Dispute',
    ],
    [
      'resolving: in time',
      'if (block.timestamp > terms.resolutionDeadline) revert AfterDeadline(block.timestamp, terms.resolutionDeadline);',
      '',
      'Deadlines',
    ],
    [
      'resolving: the last second',
      'block.timestamp > terms.resolutionDeadline',
      'block.timestamp >= terms.resolutionDeadline',
      'Deadlines',
    ],
    ['splits stay within what is held', 'if (toPayee > held) revert AmountOutOfRange(toPayee, held);', '', 'Dispute'],
    [
      'settling: something is held',
      'if (!_isHeld(state.status())) revert WrongStatus(state.status(), Status.Funded);',
      '',
      'Dispute',
    ],
    [
      'settling: in time',
      'if (block.timestamp > deadline) revert AfterDeadline(block.timestamp, deadline);',
      '',
      'Dispute',
    ],
    ['settling: the last second', 'block.timestamp > deadline', 'block.timestamp >= deadline', 'Deadlines'],
    [
      'settling: the payer signed',
      'if (msg.sender != terms.payer) Signatures.requireSigned(terms.payer, digest, payerSignature);',
      '',
      'Dispute',
    ],
    [
      'settling: the payee signed',
      'if (msg.sender != terms.payee) Signatures.requireSigned(terms.payee, digest, payeeSignature);',
      '',
      'Dispute',
    ],
    ['a settlement binds what was released', 'id, state.released(), state', 'id, uint256(0), state', 'Dispute'],
    ['a settlement binds what was refunded', 'state.refunded(), toPayee', 'uint256(0), toPayee', 'Griefing'],
  ]),
  ...rows('signatures', 'libraries/Signatures.sol', [
    ['low s only', 'if (uint256(s) > MAX_S) return address(0);', '', 'Dispute'],
    ['65 bytes only', 'if (signature.length != 65) return address(0);', '', 'Dispute'],
    ['the chain is signed', 'block.chainid, address(this)', 'uint256(31337), address(this)', 'Dispute'],
    ['the diamond is signed', 'block.chainid, address(this)', 'block.chainid, address(1)', 'Dispute'],
    [
      'a wallet’s whole answer counts',
      'ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), magic)))',
      'ok := ok',
      'Dispute',
    ],
    [
      'nobody signs for a wrong signer',
      'if (signer.code.length == 0 || !approves(signer, hash, signature)) {',
      'if (signer.code.length != 0 && !approves(signer, hash, signature)) {',
      'Dispute',
    ],
  ]),
  ...rows('ids', 'libraries/TermsHash.sol', [
    ['ids are of a chain', 'mstore(add(m, 416), chainid())', 'mstore(add(m, 416), 1)', 'Twins', 0],
    ['ids are of a diamond', 'mstore(add(m, 448), address())', 'mstore(add(m, 448), 1)', 'Twins', 0],
    ['accepted offers carry the payer', 'mstore(add(m, 96), payer) // word 3 is the payer\n', '', 'Deposit'],
  ]),
  ...rows('terms', 'libraries/TermsCheck.sol', [
    [
      'words: addresses',
      'bad := or(shr(160, words), gt(calldataload(add(terms, 384)), 1))',
      'bad := gt(calldataload(add(terms, 384)), 1)',
      'TermsCheck',
    ],
    [
      'words: outcome',
      'bad := or(shr(160, words), gt(calldataload(add(terms, 384)), 1))',
      'bad := shr(160, words)',
      'TermsCheck',
    ],
    ['operator and payee are somebody', 'or(iszero(operator), iszero(payee))', 'iszero(payee)', 'TermsCheck'],
    ['payee is not operator or payer', 'bad := or(bad, or(eq(payee, operator), eq(payee, payer)))\n', '', 'TermsCheck'],
    ['payee is not token or diamond', 'bad := or(bad, or(eq(payee, token), eq(payee, address())))\n', '', 'TermsCheck'],
    ['payer is not token or diamond', 'bad := or(bad, or(eq(payer, token), eq(payer, address())))\n', '', 'TermsCheck'],
    ['arbiter is no party', 'bad := or(bad, or(eq(arbiter, payer), eq(arbiter, payee)))\n', '', 'TermsCheck'],
    [
      'amounts and fees',
      'bad := or(bad, or(gt(sub(amount, 1), sub(maxAmount, 1)), gt(fee, amount)))\n',
      '',
      'TermsCheck',
    ],
    [
      'fee recipients',
      'bad := or(bad, or(eq(feeRecipient, address()), gt(iszero(feeRecipient), iszero(fee))))\n',
      '',
      'TermsCheck',
    ],
    [
      'deadlines: late or far',
      'bad := or(bad, or(gt(timestamp(), depositBy), gt(resolveBy, add(timestamp(), MAXIMUM_HORIZON))))\n',
      '',
      'TermsCheck Deadlines',
    ],
    [
      'deadlines: second gap',
      'bad := or(bad, or(gt(settleBy, resolveBy), gt(add(settleBy, MINIMUM_GAP), resolveBy)))\n',
      '',
      'TermsCheck',
    ],
    [
      'deadlines: first gap',
      'bad := or(bad, or(gt(depositBy, settleBy), gt(add(depositBy, MINIMUM_GAP), settleBy)))\n',
      '',
      'TermsCheck',
    ],
  ]),
  ...rows('the code itself', 'facets/DiamondCutFacet.sol', [
    [
      'cuts are the owner’s',
      '        DiamondStorage.requireOwner();\n        DiamondStorage.cut(cuts);',
      '        DiamondStorage.cut(cuts);',
      'Diamond',
    ],
    [
      'finalize is the owner’s',
      '        DiamondStorage.requireOwner();\n        FacetCut[]',
      '        FacetCut[]',
      'Diamond',
    ],
    ['an initialisation runs once', 'if (self.initialized[init]) revert InitRanBefore(init);', '', 'Diamond'],
    ['an initialisation is remembered', 'self.initialized[init] = true;', '', 'Diamond'],
    ['an initialisation has code', 'if (init.code.length == 0) revert FacetWithoutCode(init);', '', 'Diamond'],
    [
      'finalize removes the cut',
      'cuts[0].functionSelectors[0] = IDiamondCut.diamondCut.selector;',
      'cuts[0].functionSelectors[0] = IDiamondCut.finalize.selector;',
      'Diamond',
    ],
  ]),
  ...rows('the code itself', 'libraries/DiamondStorage.sol', [
    [
      'immutable functions',
      'if (served.facet == address(this)) revert IDiamondCut.FunctionImmutable(selector);',
      '',
      'Diamond',
    ],
    [
      'no selector twice',
      'if (current != address(0)) revert IDiamondCut.SelectorTaken(selector, current);',
      'current;',
      'Diamond',
    ],
    [
      'no unknown selector cut',
      'if (served.facet == address(0)) revert IDiamondCut.SelectorUnknown(selector);',
      '',
      'Diamond',
    ],
    ['facets have code', '} else if (c.facetAddress.code.length == 0) {', '} else if (false) {', 'Diamond'],
    ['the moved selector is found again', 'self.served[last].position = position;', '', 'Diamond'],
  ]),
  ...rows('the owner', 'facets/OwnershipFacet.sol', [
    ['offering is the owner’s', '        DiamondStorage.requireOwner();\n', '', 'Diamond'],
    [
      'accepting is the pending owner’s',
      'if (msg.sender != self.pendingOwner) revert NotPendingOwner(msg.sender, self.pendingOwner);',
      '',
      'Diamond',
    ],
  ]),
  ...rows('the owner', 'facets/TokenPolicyFacet.sol', [
    ['allowing is the owner’s', '        DiamondStorage.requireOwner();\n', '', 'Tokens', 0],
    ['disallowing is the owner’s', '        DiamondStorage.requireOwner();\n', '', 'Tokens', 1],
    ['naming the guardian is the owner’s', '        DiamondStorage.requireOwner();\n', '', 'Tokens', 2],
    ['pausing is the guardian’s', '        requireGuardian();\n', '', 'Tokens', 0],
    ['resuming is the guardian’s', '        requireGuardian();\n', '', 'Griefing', 1],
  ]),
];
