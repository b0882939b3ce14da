// Opens a client secret that tenantd sealed, with npm's `jose`.
//
// Copy `openSecret` into your web app. As a program it reads rows of the
// `tenantd.credentials` view, one JSON object a line, and says which ones open:
//
//   psql -At -c 'SELECT row_to_json(c) FROM tenantd.credentials AS c' |
//     node open_secret.mjs keyring.json
//
// With --print it writes the secrets themselves, one a line.

import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { compactDecrypt, decodeProtectedHeader, importJWK } from 'jose';

// The kind of the key decides the algorithm, never the token.
const ALGORITHMS = { oct: 'A256KW', EC: 'ECDH-ES+A256KW' };

/**
 * The client secret of one row of `tenantd.credentials`.
 *
 * `keyring` is the parsed JSON of the keyring file. Throws where the key is
 * missing, the text was changed, or it was sealed for another row.
 */
export async function openSecret(row, keyring) {
  const { kid } = decodeProtectedHeader(row.sealed);
  const jwk = keyring.keys.find((key) => key.kid === kid);
  if (!jwk) throw new Error(`the keyring has no key ${JSON.stringify(kid)}`);

  const algorithm = ALGORITHMS[jwk.kty];
  const { plaintext } = await compactDecrypt(row.sealed, await importJWK(jwk, algorithm), {
    keyManagementAlgorithms: [algorithm],
    contentEncryptionAlgorithms: ['A256GCM'],
  });

  const opened = JSON.parse(new TextDecoder().decode(plaintext));
  for (const field of ['tenant_id', 'host', 'client_id']) {
    if (opened[field] !== row[field]) {
      throw new Error(`the secret was sealed for another row: its ${field} differs`);
    }
  }
  return opened.client_secret;
}

async function main([file, option]) {
  if (!file || (option && option !== '--print')) {
    throw new Error('usage: node open_secret.mjs KEYRING_FILE [--print] < rows');
  }
  const keyring = JSON.parse(await readFile(file, 'utf8'));
  for await (const line of createInterface({ input: process.stdin })) {
    const row = JSON.parse(line);
    const secret = await openSecret(row, keyring);
    console.log(option ? secret : `${row.external_id} version ${row.version} (${row.stage}): opens`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
