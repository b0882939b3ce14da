// Signs one user in to a tenant, and prints who that user is to Qlik Cloud: with tenantd's library for Node, which finds
// the tenant's credential, and npm's `@qlik/api`, which gets the token and asks.
//
//   DATABASE_URL=… KEYRING_FILE=… node impersonate.mjs EXTERNAL_ID USER_ID
//
// DATABASE_URL is of a login that has tenantd_consumer. Against `tenantd simulate`:
//
//   CONNECT_TO=127.0.0.1:8443 NODE_EXTRA_CA_CERTS=ca.pem node impersonate.mjs EXTERNAL_ID USER_ID
//
// CONNECT_TO opens every connection to that address and still asks for the
// tenant's real host name, in TLS and HTTP alike.

import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { users } from '@qlik/api';
import { Consumer } from '@tenantd/client';
import { Agent, buildConnector, setGlobalDispatcher } from 'undici';

/**
 * The user that Qlik Cloud sees when `userId` is impersonated, with a credential as `Consumer` gives it.
 *
 * Make one host configuration for each tenant and user, as here. `@qlik/api`
 * keeps tokens by client, scope and user but not by host: a configuration shared
 * between tenants would send one tenant's token to another.
 */
export async function impersonatedUser({ host, clientId, clientSecret }, userId) {
  const hostConfig = {
    host: `https://${host}`,
    authType: 'oauth2',
    clientId,
    clientSecret,
    userId, // makes it the grant urn:qlik:oauth:user-impersonation
    scope: 'user_default',
    // The error is thrown in any case; without this, `@qlik/api` also writes what
    // Qlik answered to the console.
    onAuthFailed: () => {},
  };
  const { data } = await users.getMyUser({ hostConfig, noCache: true });
  return data;
}

function connectEverywhereTo(address) {
  const [, hostname, port] = /^(.+):(\d+)$/.exec(address) ?? [];
  if (!port) throw new Error(`CONNECT_TO must read HOST:PORT, not ${address}`);
  const connect = buildConnector({});
  const redirect = (options, done) =>
    connect({ ...options, servername: options.hostname, hostname, port }, done);
  setGlobalDispatcher(new Agent({ connect: redirect }));
}

async function main([externalId, userId]) {
  if (!externalId || !userId) throw new Error('usage: node impersonate.mjs EXTERNAL_ID USER_ID');
  if (process.env.CONNECT_TO) connectEverywhereTo(process.env.CONNECT_TO);
  // A web app makes one of these at its start.
  const consumer = new Consumer({
    database: process.env.DATABASE_URL,
    keyring: async () => JSON.parse(await readFile(process.env.KEYRING_FILE, 'utf8')),
  });
  try {
    const { id, name, subject } = await impersonatedUser(await consumer.credential(externalId), userId);
    console.log(JSON.stringify({ id, name, subject }));
  } finally {
    await consumer.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(process.argv.slice(2)).catch((error) => {
    // Qlik's codes only: its whole answers do not belong in a log.
    const codes = (error.errors ?? error.data?.errors)?.map(({ code }) => code).join(', ');
    console.error(`could not impersonate: ${codes ?? error.cause?.code ?? error.message}`);
    process.exitCode = 1;
  });
}
