"""What differs from database to database in a sandbox."""
