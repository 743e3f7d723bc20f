"""Blind super-resolution by internal learning: kernels, regions, upscalers.

The door to it, for Python: `super_resolve` enlarges an image, `estimate_kernel` finds its blur, `segment` splits it
into regions, `list_methods` names the methods. They are loaded when they are first used, so that ``import mkgan_core``
costs next to nothing.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
