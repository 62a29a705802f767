/** What stands before a dispute, its split and a settlement, and whose signature counts. Rows of the table, see rows.ts. */
import { type Mutation, rows } from './rows.ts';

export const disputeMutations: Mutation[] = [
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
  ...rows('re-entrancy', 'escrow/Disputes.sol', [
    [
      'state before a split',
      '        DealState split = _split(id, state, toPayee, toPayer);\n        emit Resolved(id, split);\n        _payBoth(terms, state, toPayee, toPayer);\n',
      '        _payBoth(terms, state, toPayee, toPayer);\n        DealState split = _split(id, state, toPayee, toPayer);\n        emit Resolved(id, split);\n',
      'Reentrancy',
    ],
    [
      'state before a settlement',
      '        DealState split = _split(id, state, toPayee, toPayer);\n        emit DealSettled(id, split);\n        _payBoth(terms, state, toPayee, toPayer);\n',
      '        _payBoth(terms, state, toPayee, toPayer);\n        DealState split = _split(id, state, toPayee, toPayer);\n        emit DealSettled(id, split);\n',
      'Reentrancy',
    ],
  ]),
  ...rows('disputes', 'escrow/Disputes.sol', [
    ['who opened is remembered', 'state = state.withPayeeDisputing();', '{}', 'Dispute'],
    ['a split ends the deal', '.addRefunded(toPayer).withStatus(Status.Settled)', '.addRefunded(toPayer)', 'Dispute'],
  ]),
  ...rows('disputes', 'libraries/DealStates.sol', [
    [
      'who opened is forgotten with the dispute',
      '& ((1 << STATUS_SHIFT) - 1)',
      '& ~(uint256(0xff) << STATUS_SHIFT)',
      'Dispute',
    ],
  ]),
  ...rows('signatures', 'libraries/Signatures.sol', [
    ['what nobody signed is refused', 'revert IEscrow.SignatureInvalid(signer, hash);', '', 'Dispute'],
    ['nobody is no signer', 'signer != address(0) && recover', 'recover', 'Twins'],
    [
      'an account with delegated code signs by its key',
      'if (signer != address(0) && recover',
      'if (signer.code.length == 0 && recover',
      'Twins',
    ],
  ]),
];
