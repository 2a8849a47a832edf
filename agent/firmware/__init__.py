"""Firmware files: where they may come from, how they are fetched, how long they are kept."""
