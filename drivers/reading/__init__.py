"""Figures that no make owns: numbers and texts as miners write them, boards against the whole."""
