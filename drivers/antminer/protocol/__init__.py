"""The bytes of an AntMiner: its ports, its codecs, its files. No meaning."""
