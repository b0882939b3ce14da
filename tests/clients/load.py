"""Signs users in all the time, with the Python library, and writes down what came of each.

The rule: nothing is tried twice here, so that each failure is one that a user would have seen.

The settings come as JSON in the environment's LOAD; load.mjs is the same in Node.
"""

import asyncio
import itertools
import json
import os
import ssl
import time
from pathlib import Path

import httpx
from tenantd_client import Consumer, TenantdError

load = json.loads(os.environ["LOAD"])
found = {"signed_in": 0, "last": {}, "failures": [], "events": {}, "unhandled": 0}


class ConnectTo(httpx.AsyncBaseTransport):
    """Opens every connection to one address, and still asks for the tenant's real host, in TLS and HTTP alike."""

    def __init__(self):
        self.verify = ssl.create_default_context(cafile=load["ca_file"])
        # One for each tenant, because a connection is kept by its address, and each of these is one tenant's.
        self.inner = {}

    async def handle_async_request(self, request):
        host, port = load["connect_to"].split(":")
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host=host, port=int(port))
        tenant = request.extensions["sni_hostname"]
        if tenant not in self.inner:
            self.inner[tenant] = httpx.AsyncHTTPTransport(verify=self.verify)
        return await self.inner[tenant].handle_async_request(request)

    async def aclose(self):
        for inner in self.inner.values():
            await inner.aclose()


def on_event(event):
    found["events"][event.kind] = found["events"].get(event.kind, 0) + 1


def on_unhandled(_, context):
    found["unhandled"] += 1
    print(context)


async def sign_in(consumer, tenant):
    external_id, began = tenant["external_id"], time.time()
    try:
        await consumer.sign_in(external_id, user_id=tenant["user_id"])
    except Exception as error:
        kind = type(error).__name__ if isinstance(error, TenantdError) else repr(error)
        failure = {"external_id": external_id, "began": began, "kind": kind, "message": str(error)}
        found["last"][external_id] = failure
        # Of what goes on and on, the first tell enough.
        if sum(one["external_id"] == external_id for one in found["failures"]) < 50:
            found["failures"].append(failure)
    else:
        found["signed_in"] += 1
        found["last"][external_id] = {"began": began, "kind": "ok"}


async def work(consumer, tenants):
    while not Path(load["stop_file"]).exists():
        await asyncio.gather(sign_in(consumer, next(tenants)), asyncio.sleep(load["workers"] / load["per_second"]))


def write():
    new = Path(load["found_file"] + ".new")
    new.write_text(json.dumps(found))
    new.rename(load["found_file"])


async def writing():
    while True:
        write()
        await asyncio.sleep(0.1)


async def main():
    asyncio.get_running_loop().set_exception_handler(on_unhandled)
    database = load["database"]
    tenants = itertools.cycle(load["tenants"])
    async with httpx.AsyncClient(transport=ConnectTo()) as http:
        async with Consumer(
            f"host={database['host']} user={database['user']} dbname={database['dbname']}",
            lambda: json.loads(Path(load["keyring_file"]).read_text()),
            listen=None if load["listen"] else False,
            poll=load["poll"],
            acknowledge_after=load["acknowledge_after"],
            http=http,
            on_event=on_event,
        ) as consumer:
            writer = asyncio.create_task(writing())
            await asyncio.gather(*(work(consumer, tenants) for _ in range(load["workers"])))
            writer.cancel()
    write()


asyncio.run(main())
