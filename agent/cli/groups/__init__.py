"""Groups of commands, each with its options. What they do is loaded by the command that needs it."""
