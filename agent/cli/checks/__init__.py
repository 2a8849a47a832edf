"""What the doctor checks, by where it is put right: on this host, at the cloud, in the farm."""
