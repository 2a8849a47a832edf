"""The miners of a site: which addresses are ours, who lives there, how they are logged in to."""
