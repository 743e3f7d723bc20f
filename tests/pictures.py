"""Small synthetic pictures whose content is known."""

from __future__ import annotations

import numpy as np


def picture(seed: int = 0) -> np.ndarray:
    """A small photograph-like picture, (96, 120, 3): smooth shading, edges, texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:120] / 100
    base = 0.5 + 0.3 * np.sin(6 * x + 3 * y) + 0.2 * (np.hypot(x - 0.6, y - 0.5) < 0.3)
    texture = 0.05 * rng.standard_normal((96, 120))
    return np.clip(np.stack([base + texture, base * 0.8, 1 - base + texture], axis=2), 0, 1).astype(np.float32)


def power_law(shape: tuple[int, int], slope: float, seed: int) -> np.ndarray:
    """Noise whose power falls as |w|^-slope, three like channels in [0, 1]."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    radius[0, 0] = 1
    channels = []
    for _ in range(3):
        plane = np.fft.ifft2(np.fft.fft2(rng.standard_normal(shape)) * radius ** (-slope / 2)).real
        channels.append(0.5 + 0.12 * (plane - plane.mean()) / plane.std())
    return np.clip(np.stack(channels, axis=2), 0, 1).astype(np.float32)


def rounded(image: np.ndarray) -> np.ndarray:
    return (np.round(np.clip(image, 0, 1) * 255) / 255).astype(np.float32)
