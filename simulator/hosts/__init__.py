"""What else stands in the network of a farm: hosts that are no miners of any kind we know, and some that seem to be.

All that they are sent is kept, and nothing that they are ordered is done. What they say is chosen by us, after what
such hosts are known to say; only the page of a router and the realms and titles of other makers are facts.
"""
