"""Releases of ourselves: fetched under the rules of this site, verified, and laid ready for whoever installs them."""
