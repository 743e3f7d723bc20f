"""Segmenters: image -> named masks -> regions, under one set of rules."""
