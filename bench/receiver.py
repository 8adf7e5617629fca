"""A receiver that answers at once: a hand parser on a uvloop Protocol, so that it is never the limit. GET tells its counts.

Without an argument it counts. `noting` also keeps the ids of messages, and how long each was under way when its payload says
at which monotonic moment it was due (see open.py). `hanging` takes everything and never answers. Prints its port as its first
line.
"""

import asyncio
import json
import sys
import time

import uvloop

BODY = b'{"message":"Workflow was started"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
DUE = b'{"due":"'  # how a payload begins that says when it was due, in nanoseconds of 20 digits
_LENGTH = b"content-length: "
_ID = b"\r\nwebhook-id: "


class Receiver(asyncio.Protocol):
    """One connection; the counts are all connections' together."""

    posts = 0
    open = 0
    most_open = 0

    def connection_made(self, transport):
        Receiver.open += 1
        Receiver.most_open = max(Receiver.most_open, Receiver.open)
        self._transport = transport
        self._rest = b""

    def connection_lost(self, _error):
        Receiver.open -= 1

    def data_received(self, data):
        data = self._rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end].lower()
            at = head.find(_LENGTH)
            whole = end + 4 + (0 if at < 0 else int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]))
            if len(data) < whole:
                break
            if head.startswith(b"post "):
                Receiver.posts += 1
                self._take(head, data, end + 4)
            else:
                self._tell(head.split(b" ", 2)[1])
            data = data[whole:]
        self._rest = data

    def _take(self, _head, _data, _body):
        self._transport.write(ANSWER)

    def _told(self, _path):
        return {}

    def _tell(self, path):
        counts = {"posts": Receiver.posts, "open": Receiver.open, "mostOpen": Receiver.most_open}
        told = json.dumps({**counts, **self._told(path)}).encode()
        Receiver.most_open = Receiver.open
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))


class Noting(Receiver):
    """Knows the ids that came, and how late each first arrival was. GET /late tells and forgets the latter."""

    ids = set()  # noqa: RUF012 - all connections' together
    late = []  # noqa: RUF012 - the same

    def _take(self, head, data, body):
        self._transport.write(ANSWER)
        at = head.find(_ID) + len(_ID)
        identifier = head[at : at + 36]
        if identifier in Noting.ids:
            return
        Noting.ids.add(identifier)
        if data.startswith(DUE, body):
            due = int(data[body + len(DUE) : body + len(DUE) + 20])
            Noting.late.append((due, time.monotonic_ns() - due))

    def _told(self, path):
        told = {"distinct": len(Noting.ids)}
        if path == b"/late":
            told["late"], Noting.late = Noting.late, []
        return told


class Hanging(Receiver):
    """Reads, and is silent."""

    def _take(self, _head, _data, _body):
        pass


async def main():
    kind = {"": Receiver, "noting": Noting, "hanging": Hanging}["".join(sys.argv[1:])]
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
