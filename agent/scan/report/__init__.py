"""What a scan says: of every address, against the last one, in words, and through a restart."""
