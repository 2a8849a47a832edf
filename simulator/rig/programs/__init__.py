"""The nine mining programs: what their APIs answer, byte for byte as far as it is known."""
