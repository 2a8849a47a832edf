"""The tables, and how a database of an earlier version is brought to them."""
