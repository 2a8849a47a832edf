"""How a rig is changed: one file for each way, each with its proofs."""
