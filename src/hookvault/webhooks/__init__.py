"""Calling out: model, store, signing, call, record."""
