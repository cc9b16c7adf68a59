"""See docs/explanation/architecture.md for what belongs here."""
