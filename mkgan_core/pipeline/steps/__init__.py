"""The steps of an image's walk, one job each."""
