"""The live tail of the call log: rows as they are recorded, by Server-Sent Events, in this page's own HTML."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.advice import SHORT
from hookvault.admin.asked import read_calls, read_given, read_id
from hookvault.admin.route import page
from hookvault.admin.visit import Visit, identify
from hookvault.analytics.tail.model import LiveCall
from hookvault.analytics.tail.reader import Taken
from hookvault.api.live import EventStream, check_last
from hookvault.errors import UnavailableError

_AT_ONCE = 25  # rows made before others in this process have their turn


async def watch(visit: Visit) -> Response:
    """The calls that a filter takes, from now on, whatever range of time the page is about."""
    if visit.request.method == "HEAD":
        return Response(media_type="text/event-stream")  # nobody reads: no reader's place is taken
    asked = read_calls(read_given(visit.query), visit.zone)
    which = replace(asked.which, start=None, end=None)
    last = read_id(visit.request.headers.get("last-event-id"), "Last-Event-ID")
    person = visit.session.user.id if visit.session else None
    reader = await visit.app.tail.open(which, None if last is None else check_last(last), person=person)
    return EventStream(
        visit.app, reader, lambda: _is_still_signed_in(visit), write=lambda taken: _written(visit, taken)
    )


async def _is_still_signed_in(visit: Visit) -> bool:
    """Whether the session has not ended meanwhile. With the database away there is no telling."""
    try:
        session = await identify(visit.request)
    except UnavailableError:
        return True
    return session is not None and session.stage == "full" and not session.user.must_change_password


def _written(visit: Visit, taken: Taken) -> Iterator[bytes]:
    if taken.missed or taken.unsure:
        yield b"event: missed\ndata: %s\n\n" % (b"" if taken.unsure else b"%d" % taken.missed)
    for begin in range(0, len(taken.calls), _AT_ONCE):
        yield b"".join(_event(visit, call) for call in taken.calls[begin : begin + _AT_ONCE])


def _event(visit: Visit, call: LiveCall) -> bytes:
    row = visit.text("calls/row.html", call=call, causes=SHORT, is_new=True)
    line = " ".join(row.split()).encode("utf-8", "replace")
    return b"id: %s\nevent: row\ndata: %s\n\n" % (str(call.id).encode(), line)


ROUTES: Sequence[BaseRoute] = (page("/calls/live", watch),)
