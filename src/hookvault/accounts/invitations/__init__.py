"""Invitations: by mail, for one use."""
