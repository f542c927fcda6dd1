"""Which pictures look the same, and what that says of samples."""
