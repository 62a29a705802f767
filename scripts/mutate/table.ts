/** Every guard of the contracts with what takes it out: one table, so that no guard stands in two. */
import { depositMutations } from './deposits.ts';
import { diamondMutations } from './diamond.ts';
import { disputeMutations } from './disputes.ts';
import { payoutMutations } from './payouts.ts';
import type { Mutation } from './rows.ts';

/** The table. */
export const mutations: Mutation[] = [
  ...diamondMutations,
  ...depositMutations,
  ...payoutMutations,
  ...disputeMutations,
];
