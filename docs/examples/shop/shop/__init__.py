"""A small shop: orders in a database, payments over HTTP, receipts in the background, a job in the night.

Read it from the bottom up: `models` and `database`; `payments` and `receipts`; `rate_limit` and `schedule`;
`orders` and `staff`; then `api`, which puts them together. `careless` is the one module not to learn from:
it leaks on purpose.
"""
