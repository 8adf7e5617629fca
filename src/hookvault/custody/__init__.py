"""What concerns every domain's secrets at once: rotating and destroying keys, proving that all still opens, backups."""
