"""The rules of every change, whatever the make: whose miner it is, what proves it, what is refused."""
