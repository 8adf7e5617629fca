"""Hookvault: credentials, webhooks and their records for every tenant of a SaaS platform."""

__version__ = "0.1.0"
