"""What bounds the tasks: policy, lease, the grant of a beginning, slots, and the pace of what raises power."""
