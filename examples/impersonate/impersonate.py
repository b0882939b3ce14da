"""Signs one user in to a tenant with tenantd's library for Python, and prints who that user is to Qlik Cloud.

    DATABASE_URL=… KEYRING_FILE=… python impersonate.py EXTERNAL_ID USER_ID

DATABASE_URL is of a login that has tenantd_consumer. Against `tenantd simulate`:

    CONNECT_TO=127.0.0.1:8443 CA_FILE=ca.pem python impersonate.py EXTERNAL_ID USER_ID

CONNECT_TO opens every connection to that address and still asks for the
tenant's real host name, in TLS and HTTP alike.
"""

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path

import httpx
from tenantd_client import Consumer, TenantdError


async def impersonated_user(consumer, http, external_id, user_id):
    """The user that Qlik Cloud sees when `user_id` is impersonated."""
    signed_in = await consumer.sign_in(external_id, user_id=user_id)
    answer = await http.get(
        f"https://{signed_in.host}/api/v1/users/me",
        headers={"authorization": f"Bearer {signed_in.access_token}"},
    )
    answer.raise_for_status()
    return answer.json()


class ConnectTo(httpx.AsyncHTTPTransport):
    """Opens every connection to one address, and asks for the real host there."""

    def __init__(self, address, **options):
        super().__init__(**options)
        self.host, _, port = address.rpartition(":")
        self.port = int(port)

    async def handle_async_request(self, request):
        request.extensions["sni_hostname"] = request.url.host
        request.url = request.url.copy_with(host=self.host, port=self.port)
        return await super().handle_async_request(request)


async def main(external_id, user_id):
    verify = ssl.create_default_context(cafile=os.environ.get("CA_FILE"))
    address = os.environ.get("CONNECT_TO")
    transport = ConnectTo(address, verify=verify) if address else None
    # A web app makes one of each at its start.
    async with httpx.AsyncClient(verify=verify, transport=transport) as http:
        async with Consumer(
            os.environ["DATABASE_URL"],
            lambda: json.loads(Path(os.environ["KEYRING_FILE"]).read_text(encoding="utf-8")),
            http=http,
        ) as consumer:
            me = await impersonated_user(consumer, http, external_id, user_id)
    print(json.dumps({name: me[name] for name in ("id", "name", "subject")}, separators=(",", ":")))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python impersonate.py EXTERNAL_ID USER_ID")
    try:
        asyncio.run(main(*sys.argv[1:]))
    except (TenantdError, httpx.HTTPError) as error:
        sys.exit(f"could not impersonate: {error}")
