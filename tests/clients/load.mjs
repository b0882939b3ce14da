// Signs users in all the time, with the Node library, and writes down what came of each.
//
// The rule: nothing is tried twice here, so that each failure is one that a user would have seen.
//
// The settings come as JSON in the environment's LOAD; load.py is the same in Python.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Consumer } from '@tenantd/client';
import { Agent, buildConnector, fetch } from 'undici';

const load = JSON.parse(process.env.LOAD);

const connect = buildConnector({ ca: readFileSync(load.ca_file, 'utf8') });
const [hostname, port] = load.connect_to.split(':');
const dispatcher = new Agent({
  connect: (options, done) => connect({ ...options, servername: options.hostname, hostname, port }, done),
});

const found = { signed_in: 0, last: {}, failures: [], events: {}, unhandled: 0 };
process.on('unhandledRejection', () => {
  found.unhandled += 1;
});

const { host, user, dbname } = load.database;
const consumer = new Consumer({
  database: { host, user, database: dbname },
  ...(load.listen ? {} : { listen: false }),
  keyring: () => JSON.parse(readFileSync(load.keyring_file, 'utf8')),
  poll: load.poll * 1000,
  acknowledgeAfter: load.acknowledge_after === null ? null : load.acknowledge_after * 1000,
  fetch: (url, init) => fetch(url, { ...init, dispatcher }),
  onEvent: ({ event }) => {
    found.events[event] = (found.events[event] ?? 0) + 1;
  },
});

async function signIn(tenant) {
  const began = Date.now() / 1000;
  try {
    await consumer.signIn(tenant.external_id, { userId: tenant.user_id });
    found.signed_in += 1;
    found.last[tenant.external_id] = { began, kind: 'ok' };
  } catch (error) {
    const failure = { external_id: tenant.external_id, began, kind: error.kind ?? error.name, message: error.message };
    found.last[tenant.external_id] = failure;
    // Of what goes on and on, the first tell enough.
    if (found.failures.filter(({ external_id }) => external_id === tenant.external_id).length < 50) found.failures.push(failure);
  }
}

let next = 0;
async function work() {
  while (!existsSync(load.stop_file)) {
    const tenant = load.tenants[next++ % load.tenants.length];
    await Promise.all([signIn(tenant), setTimeout((1000 * load.workers) / load.per_second)]);
  }
}

function write() {
  writeFileSync(`${load.found_file}.new`, JSON.stringify(found));
  renameSync(`${load.found_file}.new`, load.found_file);
}

const writing = setInterval(write, 100);
await Promise.all(Array.from({ length: load.workers }, work));
clearInterval(writing);
await consumer.close();
await dispatcher.close();
write();
