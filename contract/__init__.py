"""What crosses a wire or a room: typed models and enums. No I/O; imports nothing of ours."""
