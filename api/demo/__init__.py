"""A generated chain, and the story of one pass through everything on it."""
