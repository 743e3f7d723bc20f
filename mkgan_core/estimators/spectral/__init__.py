"""The spectral estimator (ours, method.md §6): the blur read off the power spectrum of the low-resolution image.

The spectrum of a natural image falls off in a known way, A |w|^-alpha with a mild orientation term; what it falls off
faster is the blur's |K|², folded by the sampling.
"""
