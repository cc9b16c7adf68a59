"""A small shop: orders in a database, payments over HTTP, receipts in the background.

Read it from the bottom up: `models` and `database`, then `payments`, `receipts` and `orders`, then `api`,
which puts them together. `careless` is the one module not to learn from: it leaks on purpose.
"""
