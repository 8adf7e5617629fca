"""Takes over the database of an existing Node.js system."""
