"""Upscalers: each enlarges a region's bounding box, given the image and the region's kernel."""
