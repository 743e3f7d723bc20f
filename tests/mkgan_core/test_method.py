from __future__ import annotations

import subprocess
import sys

import pytest

from mkgan_core import method
from mkgan_core.errors import ConfigError, DatasetError


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("bicubic", ("whole", None, "bicubic")),
        ("bicubic+zssr", ("whole", "bicubic", "zssr")),
        ("kernelgan+zssr", ("whole", "kernelgan", "zssr")),
        ("multi-kernelgan+zssr", ("fft-texture", "kernelgan", "zssr")),
        ("auto/kernelgan+zssr", ("fft-texture", "kernelgan", "zssr")),
        ("given/ground-truth+back-projection", ("given", "ground-truth", "back-projection")),
        ("yolo-sam/kernelgan+zssr", ("yolo-sam", "kernelgan", "zssr")),
        ("mask/spectral+zssr", ("mask", "spectral", "zssr")),
    ],
)
def test_names(name: str, parts: tuple) -> None:
    parsed = method.parse(name)
    assert (parsed.segmenter, parsed.estimator, parsed.upscaler) == parts
    assert parsed.name == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("kernelgam+zssr", "kernelgan"),
        ("kernelgan+zsr", "zssr"),
        ("fft-textur/kernelgan+zssr", "fft-texture"),
        ("bicubik", "bicubic"),
        ("yolo-grabkut/kernelgan+zssr", "yolo-grabcut"),
        ("", "bicubic"),
    ],
)
def test_unknown_names_get_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"nearest: .*{hint}"):
        method.parse(name)


def test_an_upscaler_that_needs_a_kernel() -> None:
    with pytest.raises(ConfigError, match="needs an estimator"):
        method.parse("zssr")


def test_settings_hash_tells_presets_apart() -> None:
    parsed = method.parse("kernelgan+zssr")
    assert parsed.settings_hash("fast") != parsed.settings_hash("paper")
    assert method.parse("bicubic").settings_hash("fast") == method.parse("bicubic").settings_hash("paper")


def test_small_images_are_refused_before_anything_starts() -> None:
    method.check_size(method.parse("bicubic"), "im_1", (20, 20))
    with pytest.raises(DatasetError, match=r"im_1 is 60x70 pixels, estimator 'kernelgan' needs at least 64"):
        method.check_size(method.parse("kernelgan+zssr"), "im_1", (70, 60))


def test_the_core_is_light_and_knows_no_orchestration() -> None:
    """Importing the walk loads no torch, no Prefect, no pydantic, no pandas."""
    code = (
        "import sys, mkgan_core.pipeline, mkgan_core.report, mkgan_core.sample, mkgan_core.gallery;"
        "import mkgan_core.page, mkgan_core.runs, mkgan_core.dataset_maker, mkgan_core.dataset_check;"
        "from mkgan_core import method; method.parse('multi-kernelgan+zssr').settings_hash('fast');"
        "[method.part_class('segmenter', name) for name in method.SEGMENTERS];"
        "heavy = 'torch prefect pydantic pandas pyarrow cv2 skimage ultralytics segment_anything torchvision aiohttp "
        "matplotlib jinja2 scipy PIL';"
        "print([m for m in heavy.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
