"""How an agent comes to know its cloud, before either knows the other."""
