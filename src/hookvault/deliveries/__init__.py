"""Durable deliveries: what was accepted, and its whole story."""
