"""Exports on their way to a client: a few at once, and no longer than the key is good."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hookvault.errors import ForbiddenError, UnavailableError

MOST = 4  # at once in a process: each reads megabytes, and calls are made and recorded beside them
_CHECKED_S = 2.0


class Places:
    """How many exports may still be begun in this process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = self._left = most

    def take(self) -> None:
        """Takes a place, which must be given back. Raises UnavailableError, code `too_many_exports`."""
        if self._left == 0:
            error = UnavailableError(
                f"{self._most} exports are under way here, and more are not begun. Try again in a moment.",
                code="too_many_exports",
            )
            error.retry_after_s = 10.0
            raise error
        self._left -= 1

    def give(self) -> None:
        """Gives a place back."""
        self._left += 1


class Download(StreamingResponse):
    """A file that is sent as it is made, and breaks off where its key is revoked meanwhile.

    Args:
        chunks: The file.
        places: Of which it has taken one.
        allowed: Whether the key is still good.
        headers: Of the response.
        media_type: What it is.
        status_code: Of the response; the API's description reads the default.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        places: Places,
        allowed: Callable[[], Awaitable[bool]],
        *,
        headers: Mapping[str, str],
        media_type: str,
        status_code: int = 200,
    ) -> None:
        super().__init__(_guarded(chunks, allowed), status_code, headers=headers, media_type=media_type)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.give()


async def _guarded(chunks: AsyncIterator[bytes], allowed: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    checked = time.monotonic()
    async for data in chunks:
        if time.monotonic() - checked >= _CHECKED_S:
            checked = time.monotonic()
            if not await allowed():
                raise ForbiddenError("The key was revoked, so its export broke off.")
        yield data
