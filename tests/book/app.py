"""What the Python examples of a page find in an app: runs them, for stage_of_a_page.sh.

    python app.py EXAMPLE

The rule: an example runs as it stands. Every connection goes to the simulator, and still asks for the
tenant's real host; whoever is signed in is said, so that an example that signs in nobody is found out.
"""

import asyncio
import inspect
import json
import os
import pathlib
import runpy
import sys

import httpx
import tenantd_client

qlik_host, qlik_port = os.environ["BOOK_QLIK"].split(":")
send = httpx.AsyncHTTPTransport.handle_async_request
sign_in = tenantd_client.Consumer.sign_in


async def send_to_the_simulator(self, request):
    request.extensions = {**request.extensions, "sni_hostname": request.url.host}
    request.url = request.url.copy_with(host=qlik_host, port=int(qlik_port))
    return await send(self, request)


async def sign_in_and_say(self, *who, **how):
    signed_in = await sign_in(self, *who, **how)
    assert signed_in.access_token
    print("signed in at", signed_in.host, flush=True)
    return signed_in


httpx.AsyncHTTPTransport.handle_async_request = send_to_the_simulator
tenantd_client.Consumer.sign_in = sign_in_and_say

made = runpy.run_path(
    sys.argv[1],
    init_globals={
        "BlockingConsumer": tenantd_client.BlockingConsumer,
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "keyring": json.loads(pathlib.Path(os.environ["KEYRING_FILE"]).read_text()),
    },
)
if inspect.iscoroutinefunction(main := made.get("main")):
    asyncio.run(main())
