"""What the pages of webhooks think about before anything is shown: rows of a table, a form's fields, files."""
