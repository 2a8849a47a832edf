"""What the replies of an IceRiver mean, in SI units."""
