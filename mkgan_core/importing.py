"""A lock for late imports, so that only one thread at a time imports the large libraries.

Python locks each module during its import. But if modules import each other in a circle, as in scipy, skimage and
torch, it avoids a deadlock by letting a second thread continue, which then sees a partly imported module. So use::

    with importing:
        from scipy.ndimage import uniform_filter
"""

from __future__ import annotations

import threading

importing = threading.RLock()
