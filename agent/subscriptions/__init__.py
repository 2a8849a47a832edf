"""Which classes of work this site takes: asked for over HTTP on this host or by command, kept in a ledger."""
