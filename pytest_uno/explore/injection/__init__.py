"""Injection: one operation, cancelled at each await, or with one call that fails, in a fresh world each time."""
