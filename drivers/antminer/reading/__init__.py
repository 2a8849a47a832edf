"""What the replies of an AntMiner mean, in SI units."""
