"""The rollback sandbox: one connection, one outer transaction, and what stands in for the rest."""
