"""The API on an event loop of its own thread, callable from any other loop: for tools that make a new one per request."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from hookvault.api.app import create_app
from hookvault.settings import Settings
from hookvault.wiring import App, build


class Bridge:
    """An ASGI application. Requests are carried to the loop that the services live on, answers back."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.app: App = self.run(self._start(settings))
        self._inner = self.run(self._made())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs something on the services' loop, from another thread; half a minute at most."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self.run(self.app.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = asyncio.run_coroutine_threadsafe(self._answer(dict(scope), body), self._loop)
        for message in await asyncio.wrap_future(answer):
            await send(message)

    async def _answer(self, scope: dict[str, Any], body: bytes) -> list[Any]:
        messages: list[Any] = []
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(message)

        await self._inner(scope, receive, send)
        return messages

    async def _start(self, settings: Settings) -> App:
        app = await build(settings)
        await app.start()
        return app

    async def _made(self) -> Any:
        return create_app(self.app)
