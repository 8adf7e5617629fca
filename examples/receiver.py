"""A receiver for a first try: takes POSTs on 127.0.0.1:5678, answers as n8n does, and prints what arrived.

python3 examples/receiver.py [PORT]
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
PORT = 5678
LIMIT = 1_048_576  # bytes; a payload has no more unless the service was told otherwise


class Receiver(BaseHTTPRequestHandler):
    """One request: printed, then answered."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > LIMIT:
            self.close_connection = True
            self.answer(413, {"message": "Payload too large"})
            return
        body = self.rfile.read(length)
        print(f"\nPOST {self.path}")
        print(f"webhook-id: {self.headers.get('webhook-id', '(none)')}")
        print(body.decode("utf-8", "replace"), flush=True)
        self.answer(200, {"message": "Workflow was started"})

    def answer(self, status: int, content: dict[str, str]) -> None:
        body = json.dumps(content, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: each request is printed already."""


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    with ThreadingHTTPServer((HOST, port), Receiver) as server:
        print(f"Listening on http://{HOST}:{server.server_port}; Ctrl-C stops.", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
