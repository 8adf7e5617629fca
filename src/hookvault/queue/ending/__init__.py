"""How jobs end: each with its story and its place in the ledger."""
