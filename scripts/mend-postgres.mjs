// Mends what a lost connection brings out in postgres.js 3.4.9, in the installed package: a write after the loss ends the process (its issues
// 1066, 1154, 1208); a write that waited stops every later one; what was asked between the error and its close waits for ever; and what a
// transaction asks for after the loss of its session runs outside of it, in a session of others. Refuses any other version of the package.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = join(dirname(dirname(fileURLToPath(import.meta.url))), 'node_modules', 'postgres', 'src');

/** Each text occurs once in its file. */
const MENDINGS = [
  {
    file: 'connection.js',
    why: 'What waited to be written, and half an answer, belong to the session that is gone.',
    before: "    clearImmediate(nextWriteTimer)\n    socket.removeListener('data', data)",
    after:
      "    clearImmediate(nextWriteTimer)\n    chunk = nextWriteTimer = results = errorResponse = null\n    result = new Result()\n    socket.removeListener('data', data)",
  },
  {
    file: 'connection.js',
    why: 'A query of the old session is not answered by the new one, and what was asked after the error fails with the rest.',
    before:
      "    if (initial)\n      return reconnect()\n\n    !hadError && (query || sent.length) && error(Errors.connection('CONNECTION_CLOSED', options, socket))\n",
    after:
      "    if (initial) {\n      query = null\n      return reconnect()\n    }\n\n    ;(query || sent.length) && error(Errors.connection('CONNECTION_CLOSED', options, socket))\n    query = null\n",
  },
  {
    file: 'connection.js',
    why: 'A session that is lost while it learns the types of arrays fails what it was opened for, nothing else.',
    before: '        return fetchArrayTypes()\n',
    after: '        return fetchArrayTypes().catch(() => {})\n',
  },
  {
    file: 'connection.js',
    why: 'The same when we end it.',
    before: '    clearImmediate(nextWriteTimer)\n    if (socket) {',
    after: '    clearImmediate(nextWriteTimer)\n    chunk = nextWriteTimer = null\n    if (socket) {',
  },
  {
    file: 'connection.js',
    why: 'Without a session a query fails; true says that the connection keeps its place among the closed.',
    before: '    if (stream)\n      return queryError(q,',
    after:
      "    if (!socket)\n      return queryError(q, Errors.connection('CONNECTION_CLOSED', options)), true\n\n    if (stream)\n      return queryError(q,",
  },
  {
    file: 'index.js',
    why: 'Who reserved a connection hears of its loss, and whatever waited in line with it.',
    before: '    c.reserved.release = true\n',
    after:
      '    c.reserved.release = true\n    let lost = null\n    c.onclose = (e) => {\n      lost = e\n      while (queue.length) queue.shift().reject(e)\n    }\n',
  },
  {
    file: 'index.js',
    why: 'A lost connection is not ours to give back.',
    before: '    sql.release = () => {\n      c.reserved = null\n',
    after: '    sql.release = () => {\n      if (lost) return\n      c.onclose = c.reserved = null\n',
  },
  {
    file: 'index.js',
    why: 'Nothing more of who had reserved it runs in the session that follows.',
    before: '    function handler(q) {\n      c.queue === full\n        ? queue.push(q)',
    after:
      '    function handler(q) {\n      if (lost) return q.reject(lost)\n      c.queue === full\n        ? queue.push(q)',
  },
  {
    file: 'index.js',
    why: 'A transaction is over with its session.',
    before: '        new Promise((_, reject) => connection.onclose = reject)',
    after:
      '        new Promise((_, reject) => connection.onclose = (e) => {\n          lost = e\n          while (queries.length) queries.shift().reject(e)\n          reject(e)\n        })',
  },
  {
    file: 'index.js',
    why: 'Where a transaction notes that.',
    before: '      , connection\n      , prepare = null\n',
    after: '      , connection\n      , lost = null\n      , prepare = null\n',
  },
  {
    file: 'index.js',
    why: 'What it asks for afterwards is refused, its rollback too.',
    before:
      '        q.catch(e => uncaughtError || (uncaughtError = e))\n        c.queue === full\n          ? queries.push(q)',
    after:
      '        q.catch(e => uncaughtError || (uncaughtError = e))\n        if (lost) return q.reject(lost)\n        c.queue === full\n          ? queries.push(q)',
  },
  {
    file: 'index.js',
    why: 'A reservation that failed is not served later, which would cost the pool a connection.',
    before: '        const query = { reserve: resolve, reject }\n',
    after: '        const query = { reserve: resolve, reject: (e) => (queries.remove(query), reject(e)) }\n',
  },
  {
    file: 'index.js',
    why: 'A connection that is opened for a reservation serves it from the line.',
    before: '    queries.length && connect(c, queries.shift())\n',
    after:
      '    if (queries.length) {\n      const query = queries.shift()\n      query.reserve && queries.push(query)\n      connect(c, query)\n    }\n',
  },
  {
    file: 'index.js',
    why: 'By this api/core/database/db.ts knows that it may connect.',
    before: 'Object.assign(Postgres, {\n  PostgresError,',
    after: 'Object.assign(Postgres, {\n  keepsTransactions: true,\n  PostgresError,',
  },
];

for (const file of new Set(MENDINGS.map((mending) => mending.file))) {
  const path = join(source, file);
  const found = readFileSync(path, 'utf8');
  let text = found;
  for (const { before, after, why } of MENDINGS.filter((mending) => mending.file === file)) {
    if (text.includes(after)) continue;
    if (text.split(before).length !== 2) {
      console.error(`postgres.js is not the version that scripts/mend-postgres.mjs knows (${file}: ${why})`);
      process.exit(1);
    }
    text = text.replace(before, () => after);
  }
  if (text === found) continue;
  // Whole or not at all, and not through a link that another checkout shares.
  writeFileSync(`${path}.mended`, text);
  renameSync(`${path}.mended`, path);
}
