"""Rigs: computers that mine with their processor or their graphics cards, read on the host itself or by SSH."""
