"""Enqueues over HTTP at a constant rate, whatever the server does: an open loop.

Takes one JSON argument: port, targets in turn (path and Authorization), rate, seconds, connections. Every payload says at which
monotonic moment it was due to be sent; who receives it works out its latency from there, so that a late sender or a slow server
hides nothing. Prints one JSON line.
"""

import asyncio
import json
import sys
import time
from collections import deque

import uvloop

from receiver import DUE

PAYLOAD_BYTES = 1024
_BEGIN = b'{"payload":' + DUE
_END = b'","text":"' + b"x" * (PAYLOAD_BYTES - len(DUE) - 20 - 12) + b'"},"triggeredBy":"bench"}'
_TICK_S = 0.001


class Pace:
    """One run."""

    def __init__(self, given):
        length = len(_BEGIN) + 20 + len(_END)
        self.port, self.rate, self.number = given["port"], given["rate"], round(given["rate"] * given["seconds"])
        self.heads = [
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
            for path, authorization in given["targets"]
        ]
        self.connections = given["connections"]
        self.free, self.due = deque(), deque()
        self.sent = self.answered = 0
        self.late, self.accepted, self.faults = [], [], []

    async def run(self):
        loop = asyncio.get_running_loop()
        for _ in range(self.connections):
            _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port)
            self.free.append(client)
        began = time.monotonic_ns() + 50_000_000
        step, scheduled = 1e9 / self.rate, 0
        while scheduled < self.number and not self.faults:
            present = time.monotonic_ns()
            while scheduled < self.number and (moment := began + int(scheduled * step)) <= present:
                self.due.append(moment)
                scheduled += 1
            self.send()
            await asyncio.sleep(_TICK_S)
        await self.settle()
        return {
            "first": began,
            "sent": self.sent,
            "answered": self.answered,
            "faults": self.faults[:3],
            "sent_late_ms": spread(self.late),
            "accepted_ms": spread(self.accepted),
        }

    def send(self):
        """Sends what is due, as far as connections are free; the rest waits, and stays due since then."""
        while self.due and self.free:
            moment = self.due.popleft()
            self.sent += 1
            self.late.append(time.monotonic_ns() - moment)
            head = self.heads[self.sent % len(self.heads)]
            self.free.popleft().send(moment, b"%b%b%020d%b" % (head, _BEGIN, moment, _END))

    def answer(self, client, moment, answer):
        if answer.startswith(b"HTTP/1.1 202 "):
            self.answered += 1
            self.accepted.append(time.monotonic_ns() - moment)
        else:
            self.faults.append(answer[:300].decode("latin-1"))
        self.free.append(client)
        self.send()

    async def settle(self):
        for _ in range(3000):
            if self.answered == self.number or self.faults:
                return
            await asyncio.sleep(0.01)


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, pace):
        self._pace = pace
        self._rest = b""

    def connection_made(self, transport):
        self._transport = transport

    def send(self, moment, request):
        self._moment = moment
        self._transport.write(request)

    def data_received(self, data):
        self._rest += data
        if self._rest.endswith(b"}") and b"\r\n\r\n" in self._rest:  # every answer is one JSON object
            answer, self._rest = self._rest, b""
            self._pace.answer(self, self._moment, answer)

    def connection_lost(self, _error):
        if self._pace.answered < self._pace.number:
            self._pace.faults.append("a connection was lost")


def spread(nanoseconds):
    """p50 and p99 in milliseconds."""
    found = sorted(nanoseconds)
    return [found[len(found) * share // 100] / 1e6 for share in (50, 99)] if found else None


async def main():
    print(json.dumps(await Pace(json.loads(sys.argv[1])).run()))


if __name__ == "__main__":
    uvloop.run(main())
