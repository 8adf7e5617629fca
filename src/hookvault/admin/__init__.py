"""HTML pages for the platform's admins, on the same services as the API."""
