"""A receiver that answers at once: a hand parser on a uvloop Protocol, so that it is never the limit. GET tells its counts.

Prints its port as its first line.
"""

import asyncio
import json

import uvloop

BODY = b'{"message":"Workflow was started"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
_LENGTH = b"content-length: "


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
            self._answer(head)
            data = data[whole:]
        self._rest = data

    def _answer(self, head):
        if head.startswith(b"post "):
            Receiver.posts += 1
            self._transport.write(ANSWER)
            return
        told = json.dumps({"posts": Receiver.posts, "mostOpen": Receiver.most_open}).encode()
        Receiver.most_open = Receiver.open
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))


async def main():
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
