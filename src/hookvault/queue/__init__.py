"""The jobs that are due or will be, and the ledger that accounts for each of them."""
