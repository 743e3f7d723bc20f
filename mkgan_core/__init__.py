"""Blind super-resolution by internal learning: kernels, regions, upscalers.

Main functions: `super_resolve` enlarges an image, `estimate_kernel` estimates its blur, `segment` splits it into
regions, and `list_methods` names the methods. They are loaded on first use, so that ``import mkgan_core`` is fast.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
