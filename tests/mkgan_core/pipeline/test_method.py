from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mkgan_core.errors import ConfigError, DatasetError
from mkgan_core.estimators.base import Estimator
from mkgan_core.estimators.fixed import Bicubic
from mkgan_core.part import NoSettings
from mkgan_core.pipeline import method, parts


@pytest.mark.parametrize(
    ("name", "named"),
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
def test_names(name: str, named: tuple[str, str | None, str]) -> None:
    parsed = method.parse(name)
    assert (parsed.segmenter, parsed.estimator, parsed.upscaler) == named
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
    with pytest.raises(ConfigError, match=hint):
        method.parse(name)


def test_objects_in_the_name_ask_for_a_region_each() -> None:
    for segmenter in ("yolo-grabcut", "yolo-sam", "yolo-seg"):
        parsed = method.parse(f"{segmenter}-objects/kernelgan+zssr")
        assert parsed.name == f"{segmenter}-objects/kernelgan+zssr"
        assert (parsed.segmenter, parsed.segmenter_changes) == (segmenter, (("per_object", True),))
        assert parsed.parts != method.parse(f"{segmenter}/kernelgan+zssr").parts
    for segmenter in ("edges", "given", "whole"):
        with pytest.raises(ConfigError, match=segmenter):
            method.parse(f"{segmenter}-objects/kernelgan+zssr")


def test_an_upscaler_that_needs_a_kernel() -> None:
    with pytest.raises(ConfigError, match="kernelgan\\+zssr"):
        method.parse("zssr")


def test_settings_hash_tells_presets_apart() -> None:
    parsed = method.parse("kernelgan+zssr")
    assert parsed.settings_hash("fast") != parsed.settings_hash("paper")
    assert method.parse("bicubic").settings_hash("fast") == method.parse("bicubic").settings_hash("paper")


def test_small_images_are_refused_before_anything_starts() -> None:
    method.check_size(method.parse("bicubic"), "im_1", (20, 20))
    with pytest.raises(DatasetError, match=r"im_1.*60x70.*kernelgan.*64"):
        method.check_size(method.parse("kernelgan+zssr"), "im_1", (70, 60))


@pytest.mark.parametrize(
    ("name", "shape", "expected", "notes"),
    [
        ("auto+zssr", (48, 48), "auto+zssr", 0),
        ("auto+zssr", (47, 90), "bicubic+zssr", 1),
        ("given/auto+zssr", (31, 90), "given/bicubic+back-projection", 2),
        ("auto+zssr", (7, 90), "bicubic", 1),
        ("bicubic", (1, 1), "bicubic", 0),
        ("michaeli-irani+back-projection", (8, 8), "bicubic+back-projection", 1),
    ],
)
def test_the_next_best_for_small_images(name: str, shape: tuple[int, int], expected: str, notes: int) -> None:
    fitted, said = method.parse(name).fitting(shape)
    assert fitted == method.parse(expected)
    assert len(said) == notes
    method.check_size(fitted, "im_1", shape)


def test_settings_of_a_replaced_part_are_dropped() -> None:
    fitted, _ = method.parse("bicubic+zssr").for_real_images().fitting((16, 16))
    assert fitted.upscaler_changes == ()


def test_a_part_of_ones_own_has_a_name_everywhere(own_parts: None) -> None:
    @parts.register("flat")
    class Flat(Estimator[NoSettings]):
        """A kernel that averages."""

    assert method.parse("given/flat+zssr").estimator == "flat"
    assert parts.identity("estimator", "flat", "fast") == {"part": "flat", "version": 1, "settings": {}}
    with pytest.raises(ConfigError, match="flat"):
        parts.register("flat")(Bicubic)  # the name is taken
    with pytest.raises(ConfigError, match="nothing"):
        parts.register("nothing")(object)  # type: ignore[type-var]
    for name in ("a+b", "a/b", ""):  # would name other parts
        with pytest.raises(ConfigError):
            parts.register(name)(Flat)


THEIRS = "class Theirs(Upscaler):\n    needs_kernel = False\n"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (f"from mkgan_core import Upscaler\n{THEIRS}", "theirs"),
        (f"from mkgan_core import Upscaler, register\n@register('theirs')\n{THEIRS}", "theirs"),  # both ways at once
        ("import there_is_none", "ConfigError theirs there_is_none"),
    ],
)
def test_parts_of_installed_packages_are_found(tmp_path: Path, code: str, found: str) -> None:
    """By the entry-point group, in a process of its own."""
    (tmp_path / "theirs.py").write_text(code)
    about = tmp_path / "theirs-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[mkgan.parts]\ntheirs = theirs:Theirs\n")
    use = "from mkgan_core.pipeline.method import parse\ntry: print(parse('theirs').upscaler)\n"
    use += "except Exception as fault: print(type(fault).__name__, fault)\n"
    use += "print(parse('bicubic').upscaler)"  # a broken package stops nobody who does not need it
    done = subprocess.run(
        [sys.executable, "-c", use], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert all(word in done.stdout for word in [*found.split(), "bicubic"]), done.stdout + done.stderr
