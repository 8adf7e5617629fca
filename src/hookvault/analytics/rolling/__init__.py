"""Builds the rollups of five minutes, hours and days, in the background."""
