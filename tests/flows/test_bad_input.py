"""Bad input through the commands: exit code 2, one line that names it, at once, and nothing was started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from flows import benchmark, upscale
from flows.config import BenchmarkConfig, UpscaleConfig
from mkgan_core.errors import ConfigError
from mkgan_core.imaging.images import to_uint8
from mkgan_core.machine.storage import Store


@pytest.fixture
def photo(picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photograph in the current folder, beside a pipe, a folder, and files whose names cannot be shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "")  # what an option sets is forgotten after the test
    Image.fromarray(to_uint8(picture)).save("photo.png")
    os.mkfifo("pipe.png")
    Path("pipe-link.png").symlink_to("pipe.png")
    Path("folder.png").mkdir()
    Path("folder.html").mkdir()
    for name in (b"bad\xff.png", b"new\nline.png", b"\x1b[31mred.png"):
        Path(os.fsdecode(name)).write_bytes(Path("photo.png").read_bytes())
    return tmp_path / "photo.png"


def refused(said: tuple[int, str, str], *data: str) -> None:
    code, out, err = said
    assert code == 2, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    for datum in data:
        assert datum in err


@pytest.mark.parametrize(
    ("arguments", "data"),
    [
        (["--seed", "-1"], ["--seed -1"]),
        (["--seed", "x"], ["--seed x"]),
        (["--seed", str(2**70)], ["--seed"]),
        (["--feather", "inf"], ["--feather inf"]),
        (["--feather", "nan"], ["--feather nan"]),
        (["--feather", "1e9"], ["--feather"]),
        (["--feather", "-1"], ["--feather -1"]),
        (["--feather", "x"], ["--feather x"]),
        (["--html", "folder.html"], ["folder.html", "--html"]),
        (["-o", "folder.png"], ["folder.png"]),
        (["-o", "folder.png", "--overwrite"], ["folder.png"]),
        (["--mask", "pipe.png"], ["pipe.png"]),
        (["--mask", "folder.png"], ["folder.png"]),
        (["--mask", os.fsdecode(b"bad\xff.png")], [r"bad\udcff.png"]),
        (["--out", os.fsdecode(b"out\xff")], [r"'out\udcff'"]),
        (["--out", "~nobody-of-this-name/out"], ["~nobody-of-this-name"]),
        (["--out", "no-such-protocol://x/y"], ["no-such-protocol"]),
        (["--max-memory", "x"], ["--max-memory x"]),
    ],
)
def test_options_of_upscale(mkgan, photo: Path, arguments: list[str], data: list[str]) -> None:
    refused(mkgan("upscale", str(photo), "--method", "bicubic", *arguments), *data)
    assert not list(photo.parent.rglob("photo_x2*"))
    assert not any(Path("folder.png").iterdir())
    assert not any(Path("folder.html").iterdir())


@pytest.mark.parametrize(
    "name", ["pipe.png", "pipe-link.png", "/dev/zero", *map(os.fsdecode, (b"bad\xff.png", b"\x1b[31mred.png"))]
)
@pytest.mark.parametrize(
    "command",
    [
        ["upscale", "--method", "bicubic"],
        ["estimate", "--estimator", "bicubic"],
        ["segment", "--segmenter", "whole"],
    ],
)
def test_images_that_are_no_files_or_cannot_be_named(mkgan, photo: Path, command: list[str], name: str) -> None:
    refused(mkgan(*command, name), ascii(name)[1:-1])


def test_a_name_that_cannot_be_shown_costs_only_itself(mkgan, photo: Path) -> None:
    code, out, err = mkgan("upscale", ".", "--method", "bicubic", "--out", "out")
    assert code == 1
    assert "photo_x2.png" in out
    assert [name in err for name in (r"'bad\udcff.png'", r"'new\nline.png'", r"'\x1b[31mred.png'")] == [True] * 3
    assert [path.name for path in Path("out").iterdir()] == ["photo_x2.png"]


@pytest.mark.parametrize(
    ("options", "folder", "name"),
    [(["--out", "memory://a/b"], "memory://a/b", "photo_x2.png"), (["-o", "memory://c.png"], "memory://", "c.png")],
)
def test_results_go_where_they_are_said_to(mkgan, photo: Path, options: list[str], folder: str, name: str) -> None:
    code, out, _ = mkgan("upscale", str(photo), "--method", "bicubic", *options)
    assert code == 0
    assert f"{name}\n" in out
    assert Store(folder).exists(name)
    assert not list(photo.parent.glob("memory*"))


FILES = ["lr_x2/im_1.png", "gt/im_1.png", "gt_k_x2/kernel_1.mat", "masks/img1/obj_hr_mask.png"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_in_a_data_set(mkgan, dataset_folder: Path, tmp_path: Path, name: str, kind: str) -> None:
    place = dataset_folder / name
    place.unlink()
    os.mkfifo(place) if kind == "pipe" else place.mkdir()
    options = ["--dataset", str(dataset_folder), "--method", "bicubic", "--store", str(tmp_path / "store")]
    refused(mkgan("benchmark", *options), place.name)


def test_two_files_for_one_image(mkgan, dataset_folder: Path, tmp_path: Path) -> None:
    Image.open(dataset_folder / "gt" / "im_1.png").convert("RGB").save(dataset_folder / "gt" / "im_1.jpg")
    options = ["--dataset", str(dataset_folder), "--method", "bicubic", "--store", str(tmp_path / "store")]
    refused(mkgan("benchmark", *options), "im_1.png", "im_1.jpg")


def test_images_that_are_named_twice_are_taken_once() -> None:
    assert BenchmarkConfig(images=["im_1,im_2", "im_1"]).images == ["im_1", "im_2"]  # type: ignore[call-arg]


def test_a_data_set_s_manifest(mkgan, dataset_folder: Path) -> None:
    (dataset_folder / "manifest.json").write_text('{"images": 3}')
    refused(mkgan("dataset", "check", str(dataset_folder)), "manifest.json")


@pytest.mark.parametrize("what", ["pipe", "cell", "folder"])
def test_kernels_to_draw_from(mkgan, photo: Path, what: str) -> None:
    Path("photographs").mkdir()
    photo.rename(Path("photographs") / "a.png")
    if what == "pipe":
        os.mkfifo("many.mat")
    elif what == "folder":
        Path("many.mat").mkdir()
    else:
        savemat("many.mat", {"kernels": {"a": 1}})
    refused(mkgan("dataset", "make", "photographs", "made", "--kind", "motion", "--kernels", "many.mat"), "many.mat")
    assert not Path("made").exists()


def test_pickled_weights(mkgan, photo: Path) -> None:
    Path("weights").mkdir()
    Path("weights/yolo-own.pt").write_bytes(b"a pickle")
    command = ["segment", str(photo), "--segmenter", "yolo", "--weights", "weights"]
    refused(mkgan(*command), "yolo-own.pt", "--trust-weights")
    refused(mkgan("upscale", str(photo), "--method", "yolo/bicubic", "--weights", "weights"), "--trust-weights")
    make = ["dataset", "make", ".", "made", "--kind", "two-blur", "--weights", "weights/yolo-own.pt"]
    refused(mkgan(*make), "--trust-weights")
    code, _, err = mkgan(*command, "--trust-weights")  # it is no network, but it was asked
    assert code == 2
    assert "yolo-own.pt" in err
    assert "--trust-weights" not in err


def test_a_gpu_that_is_not_there(
    mkgan, dataset_folder: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    store = tmp_path / "store"
    options = ["--dataset", str(dataset_folder), "--method", "bicubic", "--store", str(store), "--device", "cuda"]
    refused(mkgan("benchmark", *options), "--device cuda")
    assert not list(store.glob("runs/*"))
    for plan in (
        lambda: benchmark.plan(BenchmarkConfig(dataset=str(dataset_folder), store=str(store), device="cuda")),
        lambda: upscale.plan(UpscaleConfig(images=[str(photo)], store=str(store), device="cuda"), Store(str(store))),
    ):
        with pytest.raises(ConfigError, match="--device cuda"):
            plan()


def test_a_remedy_names_no_option_that_the_command_lacks(mkgan, photo: Path) -> None:
    Image.open(photo).resize((20, 20)).save("small.png")
    said = mkgan("estimate", "small.png", "--estimator", "kernelgan")
    refused(said, "small", "kernelgan")
    assert "--images" not in said[2]


def test_decoders_print_nothing(tmp_path: Path) -> None:
    """Pillow warns, OpenCV and tifffile complain; what is wrong with a file is said by us alone."""
    code = (
        "import io, cv2, numpy as np, tifffile\n"
        "from PIL import Image\n"
        "from mkgan_core.errors import DatasetError\n"
        "from mkgan_core.imaging import deep_files, pictures\n"
        "plain, out = Image.fromarray(np.zeros((99, 99, 3), np.uint8)), io.BytesIO()\n"
        "exif = Image.Exif()\n"
        "exif[271], exif[305] = 'maker' * 9, 'software' * 9\n"
        "plain.save(out, 'JPEG', exif=exif)\n"
        "damaged = [out.getvalue().replace(b'maker' * 9, b'maker').replace(b'\\0\\x2e', b'\\xff\\xff', 1)]\n"
        "pixels = np.random.default_rng(0).integers(0, 65535, (99, 99, 3), dtype=np.uint16)\n"
        "files = [cv2.imencode('.tif', pixels)[1].tobytes()]\n"  # packed by LZW, which OpenCV must read
        "for packed in (None, 'zlib'):\n"
        "    out = io.BytesIO()\n"
        "    tifffile.imwrite(out, pixels, compression=packed)\n"
        "    files.append(out.getvalue())\n"
        "for file in files:\n"
        "    for at in (4, 5, 60, 200, 5000):\n"
        "        data = bytearray(file)\n"
        "        data[at] ^= 255\n"
        "        damaged += [bytes(data), bytes(data[: len(data) // 2])]\n"
        "deep = deep_files.encode_png(pixels)\n"
        "damaged += [deep[: len(deep) // 2], deep_files.encode_png(np.zeros((12000, 9000), np.uint16))]\n"
        "out = io.BytesIO()\n"
        "Image.new('L', (12000, 9000)).save(out, 'PNG')\n"
        "for data in [*damaged, out.getvalue()]:\n"
        "    for look in (pictures.size, pictures.read):\n"
        "        try:\n            look(data, 'odd.file')\n"
        "        except DatasetError as fault:\n            assert 'odd.file' in str(fault)\n"
        "            assert ' object at ' not in str(fault)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
