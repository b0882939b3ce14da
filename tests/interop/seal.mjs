// Seals like tenantd, with npm's `jose`: reads a row and its `client_secret` as
// JSON, and prints the row with `sealed`. Also checks that the key's `kid` is the
// start of the thumbprint that `jose` computes.

import { readFile } from 'node:fs/promises';
import { CompactEncrypt, calculateJwkThumbprint, importJWK } from 'jose';

const keyring = JSON.parse(await readFile(process.argv[2], 'utf8'));
const { client_secret, ...row } = JSON.parse(await readFile('/dev/stdin', 'utf8'));
const [jwk] = keyring.keys;

const thumbprint = Buffer.from(await calculateJwkThumbprint(jwk), 'base64url').toString('hex');
if (jwk.kid !== thumbprint.slice(0, 16)) throw new Error('the kid is not the start of the thumbprint');

const { tenant_id, host, client_id } = row;
const plaintext = JSON.stringify({ tenant_id, host, client_id, client_secret });
row.sealed = await new CompactEncrypt(new TextEncoder().encode(plaintext))
  .setProtectedHeader({ alg: jwk.alg, enc: 'A256GCM', kid: jwk.kid })
  .encrypt(await importJWK({ ...jwk, d: undefined }, jwk.alg)); // only the public half seals
console.log(JSON.stringify(row));
