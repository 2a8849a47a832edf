"""Bitmain AntMiner: stock firmware of three generations is driven, everything else on that hardware only read."""
