"""Whom we speak to: field lists as data, one file each."""
