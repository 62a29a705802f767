/** What stands before the code, the owner, the token policy, and a second entry. Rows of the table, see rows.ts. */
import { type Mutation, rows } from './rows.ts';

/** Verbs without their guard, in the order of the file: each could then be entered from inside another. */
function entries(file: string, modifier: 'guarded' | 'unentered', verbs: string[]): Mutation[] {
  const header = `) external ${modifier} {`;
  return rows(
    're-entrancy',
    file,
    verbs.map((verb, nth) => [`${verb} is ${modifier}`, header, ') external {', 'Reentrancy', nth]),
  );
}

export const diamondMutations: Mutation[] = [
  ...rows('re-entrancy', 'libraries/Guard.sol', [
    ['the guard never closes', 'tstore(SLOT, 1)', 'tstore(SLOT, 0)', 'Reentrancy'],
    ['the guard never opens again', 'tstore(SLOT, 0)', 'tstore(SLOT, 1)', 'Reentrancy'],
  ]),
  ...rows('re-entrancy', 'Diamond.sol', [
    ['facets behind the guard', '        Guard.requireLeft();\n', '', 'Reentrancy'],
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
  ...rows('re-entrancy', 'libraries/Guard.sol', [
    ['nobody enters twice', '        requireLeft();\n', '', 'Reentrancy'],
    ['entered is refused', 'if (entered) revert IEscrow.Reentered();', 'entered;', 'Reentrancy Twins'],
  ]),
  ...entries('escrow/Deposits.sol', 'guarded', [
    'deposit',
    'depositWithPermit',
    'depositWithAuthorization (v, r, s)',
    'depositWithAuthorization (bytes)',
    'depositWithPermit2',
    'depositMany',
    'depositManyWithAuthorization',
    'depositManyWithPermit2',
  ]),
  ...entries('escrow/Payouts.sol', 'guarded', [
    'release',
    'releasePart',
    'releaseMany',
    'cancelDeal',
    'cancelMany',
    'refundPart',
    'claim',
    'reclaim',
    'returnPayment',
  ]),
  ...entries('escrow/Disputes.sol', 'unentered', ['openDispute', 'withdrawDispute']),
  ...entries('escrow/Disputes.sol', 'guarded', ['resolve', 'settle']),
  ...entries('escrow/Credits.sol', 'guarded', ['withdraw']),
  ...rows('the code itself', 'Diamond.sol', [
    [
      'an unknown selector is refused',
      '        if (facet == address(0)) revert FunctionUnknown(msg.sig);\n',
      '',
      'Diamond',
    ],
    ['a facet’s refusal is one', 'if iszero(ok) {', 'if 0 {', 'Diamond'],
    [
      'its own functions stand in the table',
      'for (uint256 i; i < own.length; i++) DiamondStorage.add(own[i], address(this));',
      '',
      'Diamond',
    ],
    ['the owner is set', 'DiamondStorage.setOwner(owner);', 'DiamondStorage.setOwner(msg.sender);', 'Diamond'],
    [
      'the guardian is set',
      'DiamondStorage.store().guardian = guardian;',
      'DiamondStorage.store().guardian = owner;',
      'Tokens',
    ],
  ]),
  ...rows('the code itself', 'facets/DiamondCutFacet.sol', [
    [
      'a failed initialisation undoes the cut',
      '        if (ok) return;\n',
      '        if (ok || !ok) return;\n',
      'Diamond',
    ],
    ['a silent failure has a name', 'if (reason.length == 0) revert InitFailed(init);', '', 'Diamond'],
    [
      'finalize removes itself',
      'cuts[0].functionSelectors[1] = IDiamondCut.finalize.selector;',
      'cuts[0].functionSelectors[1] = bytes4(0x7a0ed627);',
      'Diamond',
    ],
  ]),
  ...rows('the code itself', 'libraries/DiamondStorage.sol', [
    [
      'a cut names selectors',
      'if (c.functionSelectors.length == 0) revert IDiamondCut.NoSelectors(c.facetAddress);',
      '',
      'Diamond',
    ],
    [
      'a removal names no facet',
      'if (c.facetAddress != address(0)) revert IDiamondCut.RemovalNamesFacet(c.facetAddress);',
      '',
      'Diamond',
    ],
    ['a facet without code is refused', 'revert IDiamondCut.FacetWithoutCode(c.facetAddress);', '', 'Diamond'],
    [
      'a replacement is another facet',
      'if (served.facet == facet) revert IDiamondCut.SameFacet(selector, facet);',
      '',
      'Diamond',
    ],
    [
      'what is replaced may be cut',
      'Served storage served = requireCuttable(selector);',
      'Served storage served = store().served[selector];',
      'Diamond',
    ],
    [
      'what is removed may be cut',
      'requireCuttable(selector).position;',
      'store().served[selector].position;',
      'Diamond',
    ],
    [
      'an added selector knows its place',
      'Served(facet, uint96(self.selectors.length))',
      'Served(facet, 0)',
      'Diamond',
    ],
    ['a removed selector leaves the list', 'self.selectors.pop();', '', 'Diamond'],
    ['a removed selector is served no more', 'delete self.served[selector];', '', 'Diamond'],
  ]),
  ...rows('the owner', 'libraries/DiamondStorage.sol', [
    [
      'the owner and nobody else',
      'if (msg.sender != owner) revert IOwnership.NotOwner(msg.sender, owner);',
      'owner;',
      'Diamond',
    ],
  ]),
  ...rows('the owner', 'facets/OwnershipFacet.sol', [
    [
      'ownership takes two steps',
      'DiamondStorage.store().pendingOwner = newOwner;',
      'DiamondStorage.setOwner(newOwner);',
      'Diamond',
    ],
    ['an offer is accepted once', '        delete self.pendingOwner;\n', '', 'Diamond'],
  ]),
  ...rows('the owner', 'facets/TokenPolicyFacet.sol', [
    ['allowing names tokens', 'if (tokens.length == 0) revert NoTokens();', '', 'Tokens'],
    [
      'the guardian and nobody else',
      'if (msg.sender != self.guardian && msg.sender != self.owner) revert NotGuardian(msg.sender, self.guardian);',
      'self;',
      'Tokens',
    ],
    ['the owner may pause too', ' && msg.sender != self.owner', '', 'Tokens'],
  ]),
  ...rows('the owner', 'libraries/TokenPolicies.sol', [
    ['a change names tokens', 'if (tokens.length == 0) revert ITokenPolicy.NoTokens();', '', 'Tokens'],
    ['a token has code', 'if (token.code.length == 0) revert ITokenPolicy.TokenWithoutCode(token);', '', 'Tokens'],
  ]),
  ...rows('somebody else’s power', 'facets/DelegatesFacet.sol', [
    [
      'a delegate is named for the caller',
      'delegates[msg.sender][delegate] = allowed',
      'delegates[delegate][msg.sender] = allowed',
      'Release',
    ],
  ]),
];
