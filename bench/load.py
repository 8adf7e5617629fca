"""The load: N kept connections, each with one call in flight and the next sent as soon as the last was answered.

Takes one JSON argument (see `Load`), prints one JSON line. A closed loop: a slow server is sent less, so compare rates first
and latencies beside them. Every answer is checked; the watched processes' CPU time is read as the measured window opens and
closes.
"""

import asyncio
import json
import os
import sys
from time import perf_counter

import uvloop

import cpu

_LENGTH = b"content-length: "


class Load:
    """One run.

    Args (as JSON): port, targets to call in turn (path and Authorization), connections, warm-up and measured seconds, the
    body's text before and after a running number, `answer` (how a good one begins, and what it holds), what is watched:
    {"processes": {name: pid}, "postmaster": pid}, and maybe `key`: what Idempotency-Keys begin with, each ending in the number.
    """

    def __init__(self, given):
        self.given = given
        self.connections = given["connections"]
        length = len(given["before"]) + 10 + len(given["after"])
        self.heads = [self.head(path, authorization, length).encode() for path, authorization in given["targets"]]
        self.begins, self.holds = (text.encode() for text in given["answer"])
        self.after = given["after"].encode()
        self.sent = self.answered = self.in_flight = self.most_in_flight = 0
        self.faults = []
        self.latencies = []
        self.stopping = False
        self.ended = asyncio.get_running_loop().create_future()

    def head(self, path, authorization, length):
        """A request up to its running number, or to its two running numbers."""
        fields = {"Authorization": authorization, "Content-Type": "application/json", "Content-Length": length}
        if "key" in self.given:
            fields["Idempotency-Key"] = self.given["key"] + "%(number)010d"
        rest = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.given['port']}\r\n{rest}\r\n{self.given['before']}%(number)010d"

    def request(self):
        self.sent += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return self.heads[self.sent % len(self.heads)] % {b"number": self.sent} + self.after

    def answer(self, client, answer, elapsed):
        self.in_flight -= 1
        if answer.startswith(self.begins) and self.holds in answer:
            self.answered += 1
            self.latencies.append(elapsed)
        else:
            self.fail(answer[:300].decode("latin-1"))
        if self.stopping or self.faults:
            client.transport.close()
        else:
            client.send()

    def fail(self, fault):
        self.faults.append(fault)

    def left(self):
        self.connections -= 1
        if self.connections == 0:
            self.ended.set_result(None)

    def used(self):
        watched = self.given["watched"]
        used = {name: cpu.process_us(pid) for name, pid in watched["processes"].items()}
        return {**used, "postgres": cpu.tree_us(watched["postmaster"])}

    async def run(self):
        loop = asyncio.get_running_loop()
        for _ in range(self.connections):
            await loop.create_connection(lambda: Client(self), "127.0.0.1", self.given["port"])
        await asyncio.sleep(self.given["warmup_s"])
        self.latencies.clear()
        before, began = self.used(), perf_counter()
        await asyncio.sleep(self.given["measured_s"])
        measured, seconds, after = self.latencies[:], perf_counter() - began, self.used()
        self.stopping = True
        await asyncio.wait_for(self.ended, 60)
        measured.sort()
        calls = len(measured)
        return {
            "rate": calls / seconds,
            "p50_ms": measured[calls // 2] * 1000 if calls else None,
            "p99_ms": measured[calls * 99 // 100] * 1000 if calls else None,
            "cpu_us": {name: (after[name] - before[name]) / max(calls, 1) for name in after},
            "cores": sum(after[name] - before[name] for name in after) / 1e6 / seconds,
            "sent": self.sent,
            "answered": self.answered,
            "most_in_flight": self.most_in_flight,
            "faults": self.faults[:3],
        }


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load):
        self._load = load
        self._rest = b""

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self._began = perf_counter()
        self.transport.write(self._load.request())

    def data_received(self, data):
        data = self._rest + data if self._rest else data
        end = data.find(b"\r\n\r\n")
        at = data.find(_LENGTH, 0, max(end, 0))
        if end < 0 or at < 0 or len(data) < end + 4 + int(data[at + len(_LENGTH) : data.index(b"\r\n", at)]):
            self._rest = data
            return
        self._rest = b""
        self._load.answer(self, data, perf_counter() - self._began)

    def connection_lost(self, _error):
        if not (self._load.stopping or self._load.faults):
            self._load.fail("a connection was lost")
        self._load.left()


async def main():
    given = json.loads(sys.argv[1])
    given["watched"]["processes"]["load"] = os.getpid()
    print(json.dumps(await Load(given).run()))


if __name__ == "__main__":
    uvloop.run(main())
