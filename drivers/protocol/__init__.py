"""Wire formats that no make owns: bytes in, records out. No socket, no clock."""
