"""Where facts go besides the cloud."""
