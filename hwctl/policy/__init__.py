"""What decides. Pure: ``step(state, now, inputs) -> (state, actions)``; no I/O, no clock."""
