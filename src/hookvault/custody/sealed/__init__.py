"""The rows that hold secrets, whatever their table."""
