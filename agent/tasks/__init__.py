"""The way of a task, in the order in which it meets the files: path, admission, dispatcher, actions, gate, permit,
the executors, settlement, reporter.
"""
