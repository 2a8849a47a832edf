"""Miners that lie on demand, on real sockets. Shares no code with what it tests."""
