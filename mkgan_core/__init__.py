"""Blind super-resolution by internal learning: kernels, regions, upscalers. No orchestration in here."""

__version__ = "0.1.0"
