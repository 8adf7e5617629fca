"""Whether a call may be made now: holds, rate and concurrency limits, idempotency keys."""
