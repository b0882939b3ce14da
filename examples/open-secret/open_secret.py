"""Opens a client secret that tenantd sealed, with PyPI's `jwcrypto`.

Copy `open_secret` into your web app. As a program it reads rows of the
`tenantd.credentials` view, one JSON object a line, and says which ones open:

    psql -At -c 'SELECT row_to_json(c) FROM tenantd.credentials AS c' |
        python open_secret.py keyring.json

With --print it writes the secrets themselves, one a line.
"""

import json
import sys

from jwcrypto import jwe, jwk

# The kind of the key decides the algorithm, never the token.
ALGORITHMS = {"oct": "A256KW", "EC": "ECDH-ES+A256KW"}


def open_secret(row, keyring):
    """The client secret of one row of `tenantd.credentials`.

    `keyring` is the parsed JSON of the keyring file. Raises where the key is
    missing, the text was changed, or it was sealed for another row.
    """
    token = jwe.JWE()
    token.deserialize(row["sealed"])
    kid = token.jose_header["kid"]
    key = next((key for key in keyring["keys"] if key["kid"] == kid), None)
    if key is None:
        raise ValueError(f"the keyring has no key {kid!r}")

    token.allowed_algs = [ALGORITHMS[key["kty"]], "A256GCM"]
    token.decrypt(jwk.JWK(**key))

    opened = json.loads(token.payload)
    for field in ("tenant_id", "host", "client_id"):
        if opened[field] != row[field]:
            raise ValueError(f"the secret was sealed for another row: its {field} differs")
    return opened["client_secret"]


def main(arguments):
    if len(arguments) not in (1, 2) or arguments[1:] not in ([], ["--print"]):
        sys.exit("usage: python open_secret.py KEYRING_FILE [--print] < rows")
    with open(arguments[0], encoding="utf-8") as file:
        keyring = json.load(file)
    for line in sys.stdin:
        row = json.loads(line)
        try:
            secret = open_secret(row, keyring)
        except (ValueError, jwe.JWException) as error:
            sys.exit(f"{row['external_id']}: {error}")
        if len(arguments) == 2:
            print(secret)
        else:
            print(f"{row['external_id']} version {row['version']} ({row['stage']}): opens")


if __name__ == "__main__":
    main(sys.argv[1:])
