"""What the kernel of this host says of its routes and neighbours."""
