"""Links to a new password: by mail, for one use."""
