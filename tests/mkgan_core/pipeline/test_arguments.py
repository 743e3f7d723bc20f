"""What the Python door takes: values out of range are named before anything starts."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mkgan_core import estimate_kernel, segment, super_resolve
from mkgan_core.errors import ConfigError, DatasetError, RegionError

PHOTO = np.zeros((12, 16, 3), np.uint8)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", None])
def test_seeds(seed: Any) -> None:
    for call in (super_resolve, estimate_kernel):
        with pytest.raises(ConfigError, match=r"seed.*0 to"):
            call(PHOTO, seed=seed)


@pytest.mark.parametrize("feather", [-1, math.inf, math.nan, 1e9, "1"])
def test_feathers(feather: Any) -> None:
    with pytest.raises(ConfigError, match=r"feather.*0 to"):
        super_resolve(PHOTO, method="bicubic", feather=feather)


@pytest.mark.parametrize("call", [super_resolve, estimate_kernel, segment])
def test_devices(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "tpu"):
        with pytest.raises(ConfigError, match=device):
            call(PHOTO, device=device)


@pytest.mark.parametrize("scale", [3, 2.0, "2", None, True])
def test_scales(scale: Any) -> None:
    with pytest.raises(ConfigError, match="scale"):
        super_resolve(PHOTO, scale, "bicubic")


def test_numbers_of_numpy_s_are_numbers() -> None:
    large = super_resolve(PHOTO, np.int64(2), "bicubic", seed=np.int32(3), feather=np.float32(1)).image  # type: ignore[arg-type]
    assert large.shape == (24, 32, 3)


def truncated() -> Image.Image:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(out, "PNG")
    return Image.open(io.BytesIO(out.getvalue()[:-500]))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param([[1, 2], [3]], id="lists of unequal length"),
        pytest.param(None, id="nothing"),
        pytest.param({"a": 1}, id="a dictionary"),
        pytest.param(np.zeros((0, 5, 3), np.uint8), id="no pixels"),
        pytest.param(np.zeros((5, 5), complex), id="complex numbers"),
        pytest.param(np.array([["a"]]), id="texts"),
        pytest.param(Image.new("RGB", (0, 5)), id="an image without pixels"),
        pytest.param(truncated(), id="an image whose file is truncated"),
    ],
)
def test_what_is_no_image(image: Any) -> None:
    with pytest.raises(DatasetError):
        super_resolve(image, method="bicubic")


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.zeros((0, 0)), id="no pixels"),
        pytest.param(np.full((12, 16), np.nan), id="no numbers"),
        pytest.param(np.full((12, 16), "a"), id="texts"),
        pytest.param(np.zeros((12, 16), complex), id="complex numbers"),
    ],
)
def test_what_is_no_mask(mask: np.ndarray) -> None:
    with pytest.raises(RegionError, match="mask"):
        super_resolve(PHOTO, method="bicubic", masks=[mask])
