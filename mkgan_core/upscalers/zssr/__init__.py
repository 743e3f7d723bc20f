"""ZSSR (Shocher, Cohen & Irani, CVPR 2018): a small network learns to restore the image from its degraded version."""
