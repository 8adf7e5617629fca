"""The outbound transport alone, or aiohttp in its place: small POSTs to a receiver, a fixed number in flight.

Takes `own` or `aiohttp`, the receiver's port, how many in flight, warm-up and measured seconds; then, for `own`, the bytes
of the payload and how many headers, where they are to be a delivery's. Prints one JSON line.
"""

import asyncio
import ipaddress
import json
import os
import sys
from time import perf_counter

import aiohttp
import uvloop

import cpu
from hookvault.outbound.client import OutboundClient
from hookvault.outbound.guard import AddressPolicy, parse_target
from receiver import BODY

PAYLOAD = json.dumps({"order": 1234567, "text": "x" * 85}).encode()
TIMEOUT_S = 30
# A delivery's headers, as long as they are there.
HEADERS = [
    ("content-type", "application/json"),
    ("user-agent", "bench"),
    ("webhook-id", "0193a4f0-7d2b-7c3e-9f4a-5b6c7d8e9f01"),
    ("webhook-timestamp", "1764100000"),
    ("x-hookvault-tenant", "tenant-00000"),
    ("x-hookvault-call", "0193a4f0-7d2b-7c3e-9f4a-5b6c7d8e9f02"),
    ("webhook-signature", "v1," + "K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
    ("authorization", "Bearer " + "0123456789abcdef0123456789abcdef01234567"),
]


async def own(port, slots, size=None, names=2):
    """Our client, used as a call uses it."""
    policy = AddressPolicy(allow_http=True, allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),))
    client = OutboundClient(policy)
    target = parse_target(f"http://127.0.0.1:{port}/webhook/orders", policy)
    headers = HEADERS[:names]
    payload = PAYLOAD if size is None else json.dumps({"text": "x" * (size - 12)}).encode()

    async def post():
        reply = await client.post(target, payload, headers, timeout_s=TIMEOUT_S)
        return reply.status, reply.body

    await slots(post)
    await client.close()


async def with_aiohttp(port, slots):
    """aiohttp, tuned: no cookies, no limit, one timeout for the session, bytes as the body, no redirects."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        skip_auto_headers=["Accept", "Accept-Encoding"],
        headers={"content-type": "application/json", "user-agent": "bench"},
    )
    url = f"http://127.0.0.1:{port}/webhook/orders"

    async def post():
        async with session.post(url, data=PAYLOAD, allow_redirects=False) as response:
            return response.status, await response.read()

    async with session:
        await slots(post)


async def main():
    kind, port, in_flight, warmup_s, measured_s = sys.argv[1], *map(float, sys.argv[2:6])
    latencies, state = [], {"stop": False, "sent": 0, "in_flight": 0, "most": 0}

    async def slot(post):
        while not state["stop"]:
            state["sent"] += 1
            state["in_flight"] += 1
            state["most"] = max(state["most"], state["in_flight"])
            began = perf_counter()
            answer = await post()
            latencies.append(perf_counter() - began)
            state["in_flight"] -= 1
            if answer != (200, BODY):
                raise SystemExit(f"{kind}: a wrong answer: {answer}")

    result = {}

    async def measure():
        await asyncio.sleep(warmup_s)
        latencies.clear()
        used, began = cpu.process_us(os.getpid()), perf_counter()
        await asyncio.sleep(measured_s)
        seconds, measured, used = perf_counter() - began, sorted(latencies), cpu.process_us(os.getpid()) - used
        state["stop"] = True
        result["rate"] = len(measured) / seconds
        result["p50_ms"] = measured[len(measured) // 2] * 1000
        result["p99_ms"] = measured[len(measured) * 99 // 100] * 1000
        result["cpu_us"] = used / len(measured)

    async def slots(post):
        await asyncio.gather(measure(), *(slot(post) for _ in range(int(in_flight))))

    await {"own": own, "aiohttp": with_aiohttp}[kind](int(port), slots, *map(int, sys.argv[6:]))
    print(json.dumps({**result, "sent": state["sent"], "most_in_flight": state["most"]}))


if __name__ == "__main__":
    uvloop.run(main())
