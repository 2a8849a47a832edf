"""Readings: taken in turn, kept until the cloud has them."""
