"""Orders given on this host: a socket, and tasks by the same path and with the same proof as those of the cloud. Beside
them, what is wrong with the farm.
"""
