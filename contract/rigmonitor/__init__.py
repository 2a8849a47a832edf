"""The Mining Rig Monitor API (MRM): paths, bodies, limits and the texts inside them; no I/O."""
