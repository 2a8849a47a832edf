"""Task subscriptions: which classes of work a site takes, at what price, and how many miners of one batch at most.

The words are those of the published API: a **node** is an agent, its **badge** shows who it is, a **task** of this API
is a class of work in the catalogue, a **compute unit** one miner that one order touches once, a **stack** what is
dispatched of one batch to one node. Bytes, rules and ids; no I/O.
"""
