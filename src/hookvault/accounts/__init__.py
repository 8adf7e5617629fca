"""Platform admins and API keys."""
