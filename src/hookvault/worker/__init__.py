"""The loops that deliver: claim, call, commit, and keep the queue in order."""
