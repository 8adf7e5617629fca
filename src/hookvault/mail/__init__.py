"""Mail: composed as text and HTML, and sent by SMTP."""
