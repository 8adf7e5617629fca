"""A tenant's configured integrations."""
