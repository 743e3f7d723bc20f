"""The steps that an image goes through, one job each."""
