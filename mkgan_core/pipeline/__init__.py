"""From an image to its enlargement and its scores: which parts there are, the steps, and their order."""
