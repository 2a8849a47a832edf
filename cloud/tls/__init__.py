"""The certificates that a cloud makes for itself, and renews."""
