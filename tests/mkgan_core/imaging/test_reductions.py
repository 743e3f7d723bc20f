"""The kernels of programs against the programs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as Pillow

from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.reductions import usual

EDGE = 8  # low-resolution pixels that see the border, which programs continue otherwise


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", usual(2))
def test_reducing_is_what_the_program_does(name: str, scale: int) -> None:
    plane = 0.4 + 0.2 * np.random.default_rng(0).random((128, 160), np.float32)  # overshoot is cut off at 0 and 1
    size = (160 // scale, 128 // scale)
    if name == "sampled":
        expected = F.interpolate(torch.from_numpy(plane)[None, None], size[::-1], mode="bicubic")[0, 0].numpy()
    else:
        filter_ = Pillow.Resampling["BILINEAR" if name == "triangle" else name.upper()]
        expected = np.asarray(Pillow.fromarray(plane).resize(size, filter_))
    ours = degrade(plane[..., None].repeat(3, 2), usual(scale)[name], scale)[..., 0]
    inner = slice(EDGE, -EDGE)
    assert np.abs(ours - expected)[inner, inner].max() < 1e-5
