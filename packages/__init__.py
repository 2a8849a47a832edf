"""What makes packages of us: Debian's, and bundles that a running agent updates itself from (`make deb bundle`)."""
