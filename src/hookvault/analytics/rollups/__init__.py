"""Rollups: what was called by minute, five minutes, hour and day, so that a question costs the same whatever the volume."""
