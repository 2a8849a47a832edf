"""How our programs come to stand on a host, by a package or by `install`: the same files in the same places."""
