"""What the mining programs of a rig answer, and nvidia-smi: bytes and texts, a module each."""
