"""UNO5xx: resources of the manager, locks that are held, and state of the process that was changed."""
