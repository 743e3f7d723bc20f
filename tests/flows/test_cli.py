"""The command line: what it prints, and that bad input ends with exit code 2 and one clear line."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.ndimage import distance_transform_edt

from mkgan_core.pipeline.method import NAMED_METHODS
from mkgan_core.upscalers import seams
from tests.data_sets import write_two_blurs


def spoil(kind: str, folder: Path) -> list[str]:
    """Make the data set or the options bad; returns further arguments."""
    low = folder / "lr_x2"
    match kind:
        case "missing":
            shutil.rmtree(folder)
        case "empty":
            for file in low.iterdir():
                file.unlink()
        case "no-image":
            (low / "im_1.png").write_bytes(b"GIF89a but not really")
        case "sizes":
            Image.new("RGB", (50, 50)).save(low / "im_1.png")
        case "small":
            Image.new("RGB", (40, 40)).save(low / "im_1.png")
            Image.new("RGB", (80, 80)).save(folder / "gt" / "im_1.png")
            shutil.rmtree(folder / "masks")
            return ["--method", "kernelgan+zssr"]
        case "kernel":
            savemat(folder / "gt_k_x2" / "kernel_2.mat", {"blur": np.eye(3)})
        case "method":
            return ["--method", "kernelgn+zssr"]
        case "scale":
            return ["--scale", "3"]
        case "image":
            return ["--images", "im_77"]
        case "store":
            (folder / "file").write_text("")
            return ["--store", str(folder / "file")]
        case "device":
            return ["--device", "tpu"]
        case "weights":
            return ["--method", "yolo-sam/bicubic+back-projection"]
    return []


@pytest.mark.parametrize(
    ("kind", "datum"),
    [
        ("missing", "tiny"),
        ("empty", "lr_x2"),
        ("no-image", r"im_1\.png"),
        ("sizes", r"im_1\.png .*50x50"),
        ("small", r"im_1 .*40x40.*'kernelgan'.* 64 "),
        ("kernel", r"kernel_2\.mat.*'Kernel'"),
        ("method", r"'kernelgn\+zssr'.*\bkernelgan\+zssr"),
        ("scale", "--scale 3"),
        ("image", "im_77 .*im_1, im_2"),
        ("store", "--store"),
        ("device", "--device 'tpu'"),
        ("weights", r"'yolo-sam'.*yolov8n\.pt.*https://"),
    ],
)
def test_bad_input(mkgan, dataset_folder: Path, tmp_path: Path, kind: str, datum: str) -> None:
    store = tmp_path / "store"
    extra = spoil(kind, dataset_folder)
    options = ["--dataset", str(dataset_folder), "--method", "bicubic", "--store", store.as_uri(), *extra]
    code, out, err = mkgan("benchmark", *options)
    assert code == 2
    assert re.search(datum, err)
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not list(store.glob("runs/*"))
    assert not list(store.glob("artifacts/*"))


def test_an_unknown_option_is_bad_input(mkgan) -> None:
    code, _, err = mkgan("benchmark", "--datset", "sample")
    assert code == 2
    assert "--dataset" in err


def test_benchmark_prints_the_table_and_the_report(mkgan, dataset_folder: Path, tmp_path: Path) -> None:
    store = (tmp_path / "store").as_uri()
    options = ["--dataset", str(dataset_folder), "--store", store, "--method", "bicubic"]
    code, out, _ = mkgan("benchmark", *options, "--method", "ground-truth+back-projection")
    assert code == 0
    assert "vs bicubic" in out
    last = out.strip().splitlines()[-1]
    assert last.startswith(f"report: {store}/runs/")
    page = next(line for line in out.splitlines() if line.startswith("page: "))
    assert Path(page.removeprefix("page: file://")).exists()
    assert "ground-truth+back-projection (oracle)" in out
    assert "mkgan export " in out
    assert last.endswith("/report.parquet")
    uri = last.removeprefix("report: ")
    sheet = Path(uri.removeprefix("file://")).parent / "contact-sheet.png"
    assert Image.open(sheet).width > 500
    code, shown, _ = mkgan("report", uri)
    assert code == 0
    assert "ground-truth+back-projection" in shown


def test_options_from_the_environment(mkgan, monkeypatch: pytest.MonkeyPatch, dataset_folder: Path) -> None:
    monkeypatch.setenv("MKGAN_DATASET", str(dataset_folder))
    monkeypatch.setenv("MKGAN_METHOD", "bicubic nonsense")
    code, _, err = mkgan("benchmark")
    assert code == 2
    assert "'nonsense'" in err


def test_methods_are_listed(mkgan) -> None:
    code, out, _ = mkgan("methods")
    assert code == 0
    for name in ("fft-texture", "kernelgan", "zssr", "multi-kernelgan+zssr", "paper"):
        assert name in out
    for name, use in NAMED_METHODS.items():
        (line,) = [line for line in out.splitlines() if line.lstrip("* ").startswith(f"{name} ")]
        assert use in line


def test_single_image_commands(mkgan, dataset_folder: Path, tmp_path: Path) -> None:
    photo = str(dataset_folder / "lr_x2" / "im_1.png")
    mask = np.zeros((96, 120), np.uint8)
    mask[:, 50:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = tmp_path / "out"
    code, _, _ = mkgan("upscale", photo, "--method", "bicubic+back-projection", "--out", str(out))
    assert code == 0
    assert Image.open(out / "im_1_x2.png").size == (240, 192)
    code, _, _ = mkgan("estimate", photo, "--estimator", "bicubic", "--scale", "4", "--out", str(out))
    assert code == 0
    assert {path.suffix for path in out.glob("im_1_x4_kernel.*")} == {".npy", ".mat", ".png"}
    assert np.load(out / "im_1_x4_kernel.npy").sum() == pytest.approx(1)
    code, _, _ = mkgan("segment", photo, "--segmenter", "whole", "--out", str(out))
    assert code == 0
    assert len(list((out / "im_1").glob("*_mask.png"))) == 4
    assert (out / "im_1" / "overlay.png").exists()
    assert not np.asarray(Image.open(out / "im_1" / "obj_hr_mask.png")).any()


@pytest.mark.parametrize(
    ("arguments", "datum"),
    [
        (["upscale", "nowhere.png"], r"nowhere\.png"),
        (["upscale", "PHOTO", "--method", "ground-truth+zssr"], "'ground-truth'"),
        (["upscale", "PHOTO", "--method", "bicubic", "--real"], "'bicubic'.*--real"),
        (["estimate", "PHOTO", "--estimator", "kernelgann"], r"'kernelgann'.*\bkernelgan\b"),
        (["segment", "PHOTO", "--segmenter", "whole", "--scale", "3"], "--scale 3"),
        (["upscale", "PHOTO", "--out", "PHOTO"], "--out"),
        (["report", "no-such-run"], "'no-such-run'"),
        (["segment", "PHOTO", "--segmenter", "edgs"], "'edgs'.*edges"),
        (["segment", "PHOTO", "--segmenter", "mask"], "'mask'.*--mask"),
        (["segment", "PHOTO", "--segmenter", "edges", "--mask", "PHOTO"], "'edges'.*--mask"),
        (["upscale", "PHOTO", "--method", "given/bicubic+back-projection"], "'given'.*--mask"),
        (["segment", "PHOTO", "--segmenter", "mask", "--mask", "nowhere.png"], r"nowhere\.png"),
        (["segment", "PHOTO", "--segmenter", "mask", "--mask", "TRUTH"], r"gt.im_1\.png.*192, 240.*96, 120"),
        (["upscale", "PHOTO", "--method", "bicubic", "--mask", "TRUTH"], r"gt.im_1\.png.*192, 240.*96, 120"),
        (["segment", "PHOTO", "--segmenter", "edges", "--per-object"], "'edges'.*--per-object"),
        (["segment", "PHOTO", "--segmenter", "yolo"], r"'yolo'.*yolov8n\.pt.*https://"),
        (["segment", "PHOTO", "--segmenter", "detectron2"], r"detectron2\.git"),
        (["segment", "PHOTO", "--segmenter", "yolo", "--weights", "nowhere.pt"], r"nowhere\.pt"),
        (["segment", "PHOTO", "--segmenter", "sam", "--weights", "DAMAGED"], r"sam_vit_b_01ec64\.pth"),
        (["upscale", "PHOTO", "--method", "yolo/bicubic+back-projection"], r"'yolo'.*yolov8n\.pt"),
        (["weights", "pull", "sam-vit-x"], "'sam-vit-x'"),
        (["compare", "no-such-run", "another"], "'no-such-run'"),
    ],
)
def test_bad_input_of_other_commands(
    mkgan, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], datum: str
) -> None:
    monkeypatch.chdir(tmp_path)
    damaged = tmp_path / "sam_vit_b_01ec64.pth"
    damaged.write_bytes(b"half of it")
    files = {"PHOTO": "lr_x2/im_1.png", "TRUTH": "gt/im_1.png"}
    named = {name: str(dataset_folder / file) for name, file in files.items()} | {"DAMAGED": str(damaged)}
    code, out, err = mkgan(*[named.get(argument, argument) for argument in arguments])
    assert code == 2
    assert re.search(datum, err)
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.*"))


def test_segment_writes_four_masks_and_an_overlay(mkgan, dataset_folder: Path, tmp_path: Path) -> None:
    photo, out = str(dataset_folder / "lr_x2" / "im_1.png"), tmp_path / "out"
    mask = np.zeros((96, 120), np.uint8)
    mask[:, 50:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = ["--out", str(out), "--overwrite", "--segmenter"]
    code, printed, _ = mkgan("segment", photo, *options, "mask", "--mask", str(tmp_path / "mask.png"))
    assert code == 0
    assert "im_1, mask: object 58%, background 42%" in printed
    pictures = {path.name: np.asarray(Image.open(path)) for path in (out / "im_1").iterdir()}
    assert set(pictures) == {
        "obj_lr_mask.png",
        "obj_hr_mask.png",
        "back_lr_mask.png",
        "back_hr_mask.png",
        "overlay.png",
    }
    assert np.array_equal(pictures["obj_lr_mask.png"], mask)  # white on the object
    assert np.array_equal(pictures["obj_hr_mask.png"], mask.repeat(2, axis=0).repeat(2, axis=1))
    for size in ("lr", "hr"):
        assert np.array_equal(pictures[f"back_{size}_mask.png"], 255 - pictures[f"obj_{size}_mask.png"])
    assert pictures["overlay.png"].shape == (96, 5 * 120, 3)
    code, printed, _ = mkgan("segment", photo, *options, "mask", "--mask", photo)  # dark or bright: some mask
    assert code == 0
    Image.fromarray(np.full((96, 120), 255, np.uint8)).save(tmp_path / "full.png")
    code, printed, _ = mkgan("segment", photo, *options, "mask", "--mask", str(tmp_path / "full.png"))
    assert code == 0
    assert "im_1, mask: whole 100%" in printed
    code, printed, _ = mkgan("segment", photo, *options, "auto")
    assert code == 0
    assert "im_1, fft-texture: " in printed  # auto names what it took


def test_regions_are_feathered_on_request(mkgan, tmp_path: Path) -> None:
    """An object inside its surroundings, two blurs: only pixels near the border differ from those of a hard border."""
    folder = write_two_blurs(tmp_path / "two", 1.5, 4.0, inside=True)
    mask = np.zeros((192, 256), bool)
    mask[48:144, 64:192] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = ["--method", "spectral+back-projection", "--mask", str(tmp_path / "mask.png")]
    for out, extra in (("hard", []), ("soft", ["--feather", "3"])):
        photo = str(folder / "lr_x2" / "im_1.png")
        code, _, _ = mkgan("upscale", photo, *options, "--out", str(tmp_path / out), *extra)
        assert code == 0
    hard, soft = (np.asarray(Image.open(tmp_path / out / "im_1_x2.png")) for out in ("hard", "soft"))
    blended = (hard != soft).any(axis=2)
    depth = distance_transform_edt(mask.repeat(2, axis=0).repeat(2, axis=1))
    assert blended[(depth > 0) & (depth <= 3)].mean() > 0.9
    reach = 2 * (seams.BAND + seams.FADE)  # up to which a hard border is restored, on both sides
    assert not blended[depth > reach].any()
    assert not blended[distance_transform_edt(depth == 0) > reach].any()


def test_weights_are_listed_and_checked(mkgan, tmp_path: Path) -> None:
    code, out, _ = mkgan("weights", "list")
    assert code == 0
    assert "sam-vit-h: sam, 2565 MB, Apache-2.0, https://dl.fbaipublicfiles.com/" in out
    assert "  yolo: none" in out
    (tmp_path / "yolo-own.pt").write_bytes(b"mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MKGAN_WEIGHTS", str(tmp_path))
        code, out, _ = mkgan("weights", "check")
        assert code == 0
        assert hashlib.sha256(b"mine").hexdigest() in out
        (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"half of it")
        code, out, err = mkgan("weights", "check")
        assert code == 2
        assert "yolo-own.pt" in out
        assert "sam_vit_b_01ec64.pth" in err
        assert err.count("\n") == 1


def test_real_yolo_from_the_command_line(mkgan, yolo_weights: Path, div2krk: Path, tmp_path: Path) -> None:
    photos = [str(div2krk / "lr_x2" / f"im_{n}.png") for n in (80, 99)]
    options = ["--segmenter", "auto", "--weights", str(yolo_weights.parent), "--out", str(tmp_path)]
    code, out, _ = mkgan("segment", *photos, *options)
    assert code == 0
    assert "im_80, yolo-grabcut: object" in out
    assert "im_99, yolo-grabcut: whole 100%" in out
    assert np.asarray(Image.open(tmp_path / "im_80" / "obj_lr_mask.png"))[500, 340] == 255
    assert not np.asarray(Image.open(tmp_path / "im_99" / "obj_hr_mask.png")).any()


def test_names_of_any_letters_are_printed(mkgan, dataset_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "d[/b]*"
    folder.mkdir(parents=True)
    photo = shutil.copy(dataset_folder / "lr_x2" / "im_1.png", folder / "[red]x.png")
    code, out, err = mkgan("upscale", str(photo), "--method", "bicubic", "--out", str(folder))
    assert code == 0
    assert "[red]x_x2.png" in out
    code, _, err = mkgan("upscale", str(folder / "no [/b].png"), "--out", str(folder))
    assert code == 2
    assert "no [/b].png" in err
    for encoding in ("utf-8", "ascii"):  # a strict terminal, and a name that is not UTF-8
        with pytest.MonkeyPatch.context() as patch:
            streams = {name: io.TextIOWrapper(io.BytesIO(), encoding, errors="strict") for name in ("stdout", "stderr")}
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            code, *_ = mkgan("upscale", os.fsdecode(bytes(tmp_path) + b"/caf\xe9.png"), "--out", str(tmp_path / "out"))
            assert code == 2
            for stream in streams.values():
                stream.flush()
            err = streams["stderr"].buffer.getvalue().decode(encoding)
        assert "caf\\udce9.png" in err
        assert err.count("\n") == 1
