"""pytest-uno: the async-testing harness."""
