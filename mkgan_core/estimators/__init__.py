"""Estimators: each computes the blur kernel of a region of an image."""
