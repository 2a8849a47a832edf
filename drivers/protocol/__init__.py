"""Wire formats that no make owns: bytes in, records and values out. No socket, no clock."""
