"""The ledger `sui`: subscriptions that a Move package on a Sui network keeps, by transactions of our own making."""
