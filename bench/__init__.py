"""Figures and ratios, printed; never a timed test."""
