"""The bytes of a WhatsMiner: its ports, its codecs, its files. No meaning."""
