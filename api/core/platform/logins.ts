// Owns the limit on failed logins: counted in the database, so that every process sees the same count.
// Guesses that run at the very same time are counted after they were checked: a pool's worth of them may exceed the limit.
import { createHash } from 'node:crypto';
import { type Sql, transact } from '../database/db.ts';

// A mistyped secret is noticed within ten tries; a whole office behind one address shares the second bound.
const FAILURES_PER_CLIENT = 10;
const FAILURES_PER_ADDRESS = 100;
const WINDOW_MINUTES = 15;

/** Who tries to log in: a client id from an address, null when there is none. */
export type LoginAttempt = { clientId: string; address: string | null };

function subjectsOf({ clientId, address }: LoginAttempt): { subject: string; limit: number }[] {
  // Hashed: what a stranger sends as client id is of any form, and an address is personal.
  const digest = (...parts: (string | null)[]) =>
    createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
  const perClient = { subject: digest('client', clientId, address), limit: FAILURES_PER_CLIENT };
  return address === null
    ? [perClient]
    : [perClient, { subject: digest('address', address), limit: FAILURES_PER_ADDRESS }];
}

/** How long the next attempt has to wait, in whole seconds; 0: it may go ahead. */
export async function loginWaitSeconds(sql: Sql, attempt: LoginAttempt): Promise<number> {
  const subjects = subjectsOf(attempt);
  const rows = await sql<{ subject: string; failures: number; seconds: number }[]>`
    select subject, failures, ceil(extract(epoch from window_ends_at - now()))::int as seconds from login_failure
    where subject in ${sql(subjects.map(({ subject }) => subject))} and window_ends_at > now()`;
  const waits = rows.map(({ subject, failures, seconds }) => {
    const limit = subjects.find((candidate) => candidate.subject === subject)?.limit ?? 0;
    return failures >= limit ? seconds : 0;
  });
  return Math.max(0, ...waits);
}

/** Counts a failed login, and forgets those whose window is over. */
export async function recordFailedLogin(sql: Sql, attempt: LoginAttempt): Promise<void> {
  await transact(sql, async (tx) => {
    for (const { subject } of subjectsOf(attempt)) {
      await tx`
        insert into login_failure as known (subject, failures, window_ends_at)
        values (${subject}, 1, now() + make_interval(mins => ${WINDOW_MINUTES}))
        on conflict (subject) do update set
          failures = case when known.window_ends_at > now() then known.failures + 1 else 1 end,
          window_ends_at = case when known.window_ends_at > now() then known.window_ends_at else excluded.window_ends_at end`;
    }
  });
  await sql`
    delete from login_failure where subject in (
      select subject from login_failure where window_ends_at < now() - interval '1 hour' limit 100 for update skip locked)`;
}
