"""The agents of a workspace, as one."""
