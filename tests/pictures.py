"""Small synthetic pictures whose content is known."""

from __future__ import annotations

import struct

import numpy as np

from mkgan_core.imaging import kernels


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


def cmyk_profile() -> bytes:
    """An ICC profile of a printer whose cyan ink is red; its other inks darken."""
    corners = np.zeros((2, 2, 2, 2, 3), np.uint8)  # by C, M, Y, K; Lab as 8 bits
    for ink in np.ndindex(2, 2, 2, 2):
        lightness = 255 * (ink[3] == 0) * 0.7 ** (ink[0] + ink[1] + ink[2])
        corners[ink] = (round(lightness), 128 + 70 * ink[0] * (1 - ink[3]), 128 + 50 * ink[0] * (1 - ink[3]))
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + ramp * 4 + corners.tobytes() + ramp * 3
    text = b"text" + bytes(4) + b"test\0"
    named = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags, body = [], b""
    for name, data in ((b"desc", named), (b"cprt", text), (b"wtpt", white), (b"A2B0", table)):
        tags.append(struct.pack(">4sII", name, 128 + 4 + 4 * 12 + len(body), len(data)))
        body += data + bytes(-len(data) % 4)
    content = struct.pack(">I", len(tags)) + b"".join(tags) + body
    head = struct.pack(">I4xI4s4s4s12x4s", 128 + len(content), 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    head = head + bytes(68 - len(head)) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + content


def shapes(side: int, seed: int) -> np.ndarray:
    """Discs and rectangles of random colours, (side, side, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    image = np.full((side, side, 3), 0.5)
    for _ in range(90):
        row, column, radius = *rng.uniform(0, side, 2), rng.uniform(8, side / 6)
        if rng.uniform() < 0.5:
            inside = np.hypot(rows - row, columns - column) < radius
        else:
            inside = (np.abs(rows - row) < radius) & (np.abs(columns - column) < radius * rng.uniform(0.2, 1))
        image[inside] = rng.uniform(0.05, 0.95, 3)
    return image.astype(np.float32)


def hook() -> np.ndarray:
    """A path with a corner and an uneven pace, (19, 19): nothing that a Gaussian could stand for."""
    kernel = np.zeros((19, 19))
    kernel[4:14, 5] = np.linspace(1, 2, 10)
    kernel[13, 5:15] = np.linspace(2, 0.5, 10)
    kernel[3:6, 4:7] += 1.5
    return kernels.centre(kernel, 2)
