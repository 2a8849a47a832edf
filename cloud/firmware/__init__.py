"""The firmware library: images that were uploaded once, what tasks need of them, and their links."""
