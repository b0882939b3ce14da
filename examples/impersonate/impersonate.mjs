// Signs one user in to a tenant with the credential that tenantd provisioned,
// with npm's `@qlik/api`, and prints who that user is to Qlik Cloud.
//
// A tenant's credential and a user's id come as JSON on stdin, never as
// arguments, which every process of the machine can read:
//
//   {"host":"acme42.us.qlikcloud.com","client_id":"…","client_secret":"…","user_id":"…"}
//
// Against `tenantd simulate`:
//
//   CONNECT_TO=127.0.0.1:8443 NODE_EXTRA_CA_CERTS=ca.pem node impersonate.mjs < credential.json
//
// CONNECT_TO opens every connection to that address and still asks for the
// tenant's real host name, in TLS and HTTP alike.

import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { users } from '@qlik/api';
import { Agent, buildConnector, setGlobalDispatcher } from 'undici';

/**
 * The user that Qlik Cloud sees when `userId` is impersonated.
 *
 * Make one host configuration for each tenant and user, as here. `@qlik/api`
 * keeps tokens by client, scope and user but not by host: a configuration shared
 * between tenants would send one tenant's token to another.
 */
export async function impersonatedUser({ host, client_id, client_secret }, userId) {
  const hostConfig = {
    host: `https://${host}`,
    authType: 'oauth2',
    clientId: client_id,
    clientSecret: client_secret,
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

async function main() {
  if (process.env.CONNECT_TO) connectEverywhereTo(process.env.CONNECT_TO);
  const { user_id, ...credential } = JSON.parse(await readFile('/dev/stdin', 'utf8'));
  const { id, name, subject } = await impersonatedUser(credential, user_id);
  console.log(JSON.stringify({ id, name, subject }));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error) => {
    // Qlik's codes only: its whole answers do not belong in a log.
    const codes = (error.errors ?? error.data?.errors)?.map(({ code }) => code).join(', ');
    console.error(`could not impersonate: ${codes ?? error.cause?.code ?? error.message}`);
    process.exitCode = 1;
  });
}
