"""The spectral estimator (ours, method.md §6): estimates the blur from the low-resolution image's power spectrum.

The power spectrum of a natural image decays as A |w|^-alpha, with a slight dependence on the direction. Whatever it
decays faster is due to the blur's |K|², with aliases from the subsampling.
"""
