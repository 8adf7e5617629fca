"""Where a writer hands on the calls that it committed, while anybody wants them."""

from collections.abc import Callable, Sequence

from hookvault.webhooks.model import CallRecord


class Tap:
    """Closed most of the time; a writer asks `tell is not None` once a batch, and that is all it costs then.

    Attributes:
        tell: Given the calls of a batch after their commit. It never raises and never waits. None: nobody watches.
    """

    __slots__ = ("tell",)

    def __init__(self) -> None:
        self.tell: Callable[[Sequence[CallRecord]], None] | None = None
