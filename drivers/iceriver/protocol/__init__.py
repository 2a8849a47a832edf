"""The bytes of an IceRiver: its ports, its codecs, its files. No meaning."""
