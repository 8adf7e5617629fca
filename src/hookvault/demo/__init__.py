"""A platform that lives: tenants, a month of calls, a receiver that answers as n8n does, and traffic. Never in production."""
