"""The flow `upscale`: photographs keep their properties, and small ones get a picture too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from flows.config import UpscaleConfig
from flows.upscale import upscale
from mkgan_core import super_resolve
from mkgan_core.imaging import images, pictures
from mkgan_core.imaging.encoders import encode
from mkgan_core.imaging.pictures import Picture

METHOD = "bicubic+back-projection"


def test_what_comes_in_comes_out_larger(picture: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    deep, small = images.to_pixels(picture, 16), images.to_uint8(picture)
    alpha = np.linspace(0, 255, small[..., 0].size).reshape(small.shape[:2]).astype(np.uint8)
    given = {
        "deep.png": Picture(deep, dpi=(300.0, 300.0), exif=exif.tobytes()),
        "grey.png": Picture(deep[..., :1]),
        "clear.png": Picture(np.dstack([small, alpha])),
        "tiny.png": Picture(small[:5, :7]),
    }
    for name, one in given.items():
        (tmp_path / name).write_bytes(encode(one))
    config = UpscaleConfig(
        images=[str(tmp_path / name) for name in given],
        method=METHOD,
        out=str(tmp_path / "out"),
        store=(tmp_path / "store").as_uri(),
        device="cpu",
    )
    assert upscale(config, return_state=True).is_completed()
    for name, one in given.items():
        data = (tmp_path / "out" / name.replace(".png", "_x2.png")).read_bytes()
        assert data == super_resolve(tmp_path / name, method=METHOD).encode()
        made = pictures.read(data, name)
        assert made.pixels.dtype == one.pixels.dtype
        assert made.pixels.shape[2] == one.pixels.shape[2]
        assert (made.exif is None) is (one.exif is None)
