"""What a rig's files and programs mean, in SI units, and how the parts are put together."""
