"""Segmenters: each finds named masks in an image; common rules turn them into regions."""
