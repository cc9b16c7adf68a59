"""UNO6xx: callbacks that keep the event loop from running."""
