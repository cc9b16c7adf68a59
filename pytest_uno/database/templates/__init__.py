"""Templates: databases that are prepared once and copied for the tests."""
