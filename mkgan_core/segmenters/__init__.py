"""Segmenters: image -> named masks. The rules in `mkgan_core.regions` turn the masks into regions."""
