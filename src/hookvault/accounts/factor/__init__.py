"""The second factor: codes of an authenticator (RFC 6238), and recovery codes."""
