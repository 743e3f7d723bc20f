"""From an image to its enlargement and scores: the available parts, the steps, and their order."""
