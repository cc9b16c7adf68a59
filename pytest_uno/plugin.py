"""The pytest plugin: options, markers, registration."""
