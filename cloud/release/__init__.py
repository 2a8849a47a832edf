"""The repository of releases: made offline by the keys of root and targets, kept fresh and served by the control
plane.
"""
