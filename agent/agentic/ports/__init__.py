"""What the agent needs from the world: one Protocol a module, its in-memory double beside it."""
