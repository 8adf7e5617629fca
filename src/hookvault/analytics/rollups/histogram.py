"""A sparse log histogram of response times: percentiles within 5 % from a few dozen numbers (pure).

Times below 20 ms, where one millisecond is 5 %, have a bucket each and so are exact; above, each bucket is 5 % wider than the
one before (as in HDR histograms and DDSketch, Masson et al., VLDB 2019).
"""

import math
from collections.abc import Iterable, Mapping

EXACT_BELOW_MS = 20
BASE = 1.05
_LOG_BASE = math.log(BASE)

# A column of response times in ms to its buckets.
BUCKET_SQL = (
    f"(CASE WHEN {{0}} < {EXACT_BELOW_MS} THEN greatest({{0}}, 0) "
    f"ELSE {EXACT_BELOW_MS} + floor(ln({{0}} / {EXACT_BELOW_MS}::float8) / {_LOG_BASE!r})::integer END)::smallint"
)


def add(histogram: dict[int, int], buckets: Iterable[int], calls: Iterable[int]) -> None:
    """Adds calls by bucket to a histogram, in place."""
    for bucket, count in zip(buckets, calls, strict=True):
        histogram[bucket] = histogram.get(bucket, 0) + count


def percentiles(histogram: Mapping[int, int], shares: Iterable[float], longest: int) -> list[float | None]:
    """Response times in ms below which these shares of the calls lie, as SQL's percentile_cont; None without calls.

    Args:
        histogram: Calls by bucket.
        shares: Each 0 to 1.
        longest: The longest response time in ms, which none exceeds.
    """
    ordered = sorted(histogram.items())
    total = sum(histogram.values())
    if total == 1:
        return [float(longest) for _ in shares]
    return [None if not total else _at(ordered, share * (total - 1), longest) for share in shares]


def _at(ordered: list[tuple[int, int]], rank: float, longest: int) -> float:
    low = _value(ordered, math.floor(rank), longest)
    high = _value(ordered, math.ceil(rank), longest)
    return low + (high - low) * (rank - math.floor(rank))


def _value(ordered: list[tuple[int, int]], rank: int, longest: int) -> float:
    """The time of the call at a rank, calls lying evenly in their bucket."""
    before = 0
    for bucket, calls in ordered:
        if rank < before + calls:
            return min(_within(bucket, (rank - before + 0.5) / calls), float(longest))
        before += calls
    return float(longest)


def _within(bucket: int, share: float) -> float:
    if bucket < EXACT_BELOW_MS:
        return float(bucket)
    # Times are whole milliseconds, so a narrow bucket may hold one of them only.
    first = math.ceil(EXACT_BELOW_MS * BASE ** (bucket - EXACT_BELOW_MS) - 1e-9)
    last = math.ceil(EXACT_BELOW_MS * BASE ** (bucket - EXACT_BELOW_MS + 1) - 1e-9) - 1
    return first + max(0, last - first) * share
