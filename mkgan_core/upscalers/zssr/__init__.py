"""ZSSR (Shocher, Cohen & Irani, CVPR 2018): a small network trained on the image itself, degraded once more."""
