"""Task subscriptions: the catalogue, the ledgers of nodes, what is in force, and what is dispatched by it."""
