"""One thread at a time imports the large libraries that functions import when they need them.

Python locks each module while it is imported. But where modules import each other in a circle, as those of scipy,
skimage and torch do, it lets a second thread in rather than wait for ever, and that one finds a module half imported.
So::

    with importing:
        from scipy.ndimage import uniform_filter
"""

from __future__ import annotations

import threading

importing = threading.RLock()
