"""Signing in: sessions, the check of a password, and what slows guessing down."""
