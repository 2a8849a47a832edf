"""Miners: what readings say of them, how they are searched, what operators write into their records."""
