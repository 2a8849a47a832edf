"""What a release is: its bundle, the signed metadata that speaks of it, the check that a staged copy has to pass."""
