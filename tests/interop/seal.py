"""Seals like tenantd, with PyPI's `jwcrypto`: reads a row and its `client_secret`
as JSON, and prints the row with `sealed`."""

import json
import sys

from jwcrypto import jwe, jwk

with open(sys.argv[1], encoding="utf-8") as file:
    key = json.load(file)["keys"][0]
row = json.load(sys.stdin)

plaintext = {name: row[name] for name in ("tenant_id", "host", "client_id", "client_secret")}
del row["client_secret"]
token = jwe.JWE(
    json.dumps(plaintext).encode(),
    protected={"alg": key["alg"], "enc": "A256GCM", "kid": key["kid"]},
    recipient=jwk.JWK(**key),
)
row["sealed"] = token.serialize(compact=True)
print(json.dumps(row))
