"""The hookvault command."""
