"""Upscalers: image, region and kernel -> the region's bounding box, enlarged."""
