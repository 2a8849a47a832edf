"""The way to the cloud: joining it, asking it, asking again."""
