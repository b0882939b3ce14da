// What the Node examples of a page find in an app: loaded before them, by stage_of_a_page.sh.
//
//   node --import .../app.mjs EXAMPLE
//
// The rule: an example runs as it stands. Every connection goes to the simulator, and still asks for the
// tenant's real host; whoever is signed in is said, so that an example that signs in nobody is found out.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const installed = createRequire(`${process.env.BOOK_LIBRARIES}/impersonate/`);
const { Agent, buildConnector, setGlobalDispatcher } = installed('undici');
const [hostname, port] = process.env.BOOK_QLIK.split(':');
const connect = buildConnector({});
setGlobalDispatcher(
  new Agent({ connect: (options, done) => connect({ ...options, servername: options.hostname, hostname, port }, done) }),
);

const { Consumer } = await import(pathToFileURL(installed.resolve('@tenantd/client')));
const { signIn } = Consumer.prototype;
Consumer.prototype.signIn = async function (...who) {
  const signedIn = await signIn.apply(this, who);
  if (!signedIn.accessToken) throw new Error('no token');
  console.log(`signed in at ${signedIn.host}`);
  // Examples of a few lines end no consumer.
  setImmediate(() => this.close());
  return signedIn;
};

Object.assign(globalThis, {
  Consumer,
  database: process.env.DATABASE_URL,
  keyring: JSON.parse(readFileSync(process.env.KEYRING_FILE, 'utf8')),
  row: JSON.parse(process.env.BOOK_ROW),
});
