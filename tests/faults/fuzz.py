"""Inputs that nobody foresaw, made by hypothesis: what each is about, the files it writes, the command it gives."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from mkgan_core.pipeline.records import sealed
from tests import data_sets, drive
from tests.faults import commands
from tests.faults.commands import Outcome
from tests.faults.fuzz_material import (
    MASK_SIDE,
    Trial,
    damaged,
    json_like,
    kernels,
    parquet,
    pictures,
    plain_picture,
    small_set,
)
from tests.faults.fuzz_options import options
from tests.faults.tally import Tally

FILE_NAMES = ("a.png", "b.JPG", "c.tif", "d.webp", "[red]e.png", "[b].png", "ä ö.png", "-f.png", "%41.png", "n\nl.png")
QUICK = ("bicubic", "bicubic+back-projection", "spectral+back-projection", "fft-texture/bicubic+back-projection")
Maker = Callable[[st.DataObject, Path], Trial]


def images(data: st.DataObject, folder: Path) -> Trial:
    name = data.draw(st.sampled_from(FILE_NAMES))
    (folder / name).write_bytes(data.draw(pictures()))
    command = data.draw(st.sampled_from(["upscale"] * 5 + ["segment", "estimate"]))
    more = {
        "upscale": lambda: ["--method", data.draw(st.sampled_from(("bicubic", *QUICK)))],
        "segment": lambda: ["--segmenter", data.draw(st.sampled_from(["fft-texture", "edges", "anchors"]))],
        "estimate": lambda: ["--estimator", data.draw(st.sampled_from(["bicubic", "spectral"]))],
    }[command]()
    return Trial([command, str(folder / name), "--out", str(folder / "out"), *more], [name])


def masks(data: st.DataObject, folder: Path) -> Trial:
    (folder / "image.png").write_bytes(plain_picture(MASK_SIDE, MASK_SIDE))
    names = [f"mask{number}.png" for number in range(data.draw(st.integers(1, 3)))]
    for name in names:
        (folder / name).write_bytes(data.draw(pictures((MASK_SIDE, MASK_SIDE))))
    given = [word for name in names for word in ("--mask", str(folder / name))]
    command = data.draw(
        st.sampled_from(
            [
                ["upscale", "--method", "bicubic+back-projection"],
                ["upscale", "--method", "bicubic"],
                ["segment", "--segmenter", "mask"],
            ]
        )
    )
    if command[0] == "upscale" and data.draw(st.booleans()):
        command = [*command, "--feather", data.draw(st.sampled_from(["0", "1.5", "300", "nan", "-1"]))]
    return Trial([*command, str(folder / "image.png"), *given, "--out", str(folder / "out")], [*names, "image.png"])


def true_kernels(data: st.DataObject, folder: Path) -> Trial:
    made = Path(shutil.copytree(small_set(folder.parent), folder / "set"))
    name = data.draw(st.sampled_from(["kernel_1.mat", "kernel_1_obj.mat"]))
    (made / "gt_k_x2" / name).write_bytes(data.draw(kernels()))
    return _with_set(data, made, folder, [name, "lr_x4"])


def _with_set(data: st.DataObject, made: Path, folder: Path, names: Sequence[str] = ()) -> Trial:
    if data.draw(st.booleans()):
        return Trial(["dataset", "check", str(made)], list(names) or [str(made)])
    methods = ["--method", data.draw(st.sampled_from(["bicubic", "given/ground-truth+back-projection"]))]
    scale = ["--scale", data.draw(st.sampled_from(["2"] * 7 + ["4"]))]
    return Trial(
        ["benchmark", "--dataset", str(made), "--store", str(folder / "store"), *methods, *scale],
        list(names) or [str(made)],
    )


def layouts(data: st.DataObject, folder: Path) -> Trial:
    made = Path(shutil.copytree(small_set(folder.parent), folder / "set"))
    (made / "manifest.json").write_text("{}") if data.draw(st.integers(0, 3)) == 0 else None
    files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    for name in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
        _spoil(data, made / name)
    return _with_set(data, made, folder)


def _spoil(data: st.DataObject, path: Path) -> None:
    how = data.draw(st.sampled_from("gone damaged picture folder pipe loop twin text renamed json moved".split()))
    if how == "damaged":
        path.write_bytes(data.draw(damaged(path.read_bytes())))
    elif how == "picture":
        path.write_bytes(data.draw(pictures()))
    elif how == "text":
        path.write_text(data.draw(st.text(max_size=30)).encode("utf-8", "replace").decode())
    elif how == "json":
        path.write_bytes(data.draw(json_like({"version": 1, "images": [{"image": "im_1", "files": []}]})))
    elif how == "twin":
        endings = [".jpg", ".tif", ".PNG", ".txt", ".mat"]
        ending = data.draw(st.sampled_from([one for one in endings if one != path.suffix]))
        shutil.copy(path, path.with_suffix(ending))
    elif how in ("renamed", "moved"):
        name = data.draw(st.sampled_from(["[b].png", "\udcff.png", "a\nb.png", ".x.png", "im_1 .png", "IM_1.png"]))
        path.rename(path.with_name(name) if how == "renamed" else path.parents[1] / name)
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()
        elif how == "pipe":
            os.mkfifo(path)
        elif how == "loop":
            path.symlink_to(path.name)


@cache
def _report(root: Path) -> Path:
    """The store of a run with two images and two methods."""
    made = root / "report-store"
    drive.benchmark(data_sets.write_data_set(root / "report-set"), str(made), ["bicubic", "bicubic+back-projection"])
    (made / "runs" / "run" / "run.json").write_text(json.dumps(_facts()))
    return made


def _facts() -> dict[str, Any]:
    from flows.config import BenchmarkConfig

    config = BenchmarkConfig(dataset="sample", methods=["bicubic"], store="memory://x")
    return {"flow_run_id": "12345678-1234-5678-1234-567812345678", "config": config.model_dump(mode="json")}


def _copied_run(folder: Path) -> Path:
    store = _report(folder.parent)
    return Path(shutil.copytree(store / "runs" / "run", folder / "store" / "runs" / "run"))


def reports(data: st.DataObject, folder: Path) -> Trial:
    run = _copied_run(folder)
    name = data.draw(st.sampled_from(["report.parquet"] * 3 + ["regions.parquet", "images.parquet"]))
    (run / name).write_bytes(data.draw(parquet((run / name).read_bytes())))
    report = str(run / "report.parquet")
    whole = str(_report(folder.parent) / "runs" / "run" / "report.parquet")
    html = ["--html", str(folder / "page.html")] if data.draw(st.integers(0, 5)) == 0 else []
    command = data.draw(st.sampled_from([["report", report], ["compare", whole, report], ["compare", report, whole]]))
    return Trial(
        [*command, *html], [str(run), f"runs {run.name} "]
    )  # two reports that do not fit are named by their IDs


def run_files(data: st.DataObject, folder: Path) -> Trial:
    run = _copied_run(folder)
    store = folder / "store"
    name = data.draw(st.sampled_from(["run.json", "run.json", "artifacts.json"]))
    whole: Any = _facts() if name == "run.json" else ["artifacts/compose/aa/aa.json"]
    (run / name).write_bytes(data.draw(json_like(whole)))
    if data.draw(st.booleans()):
        record = {
            "key": "k" * 64,
            "label": "score x",
            "check": "",
            "output": {"name": "artifacts/a.png", "size": 3, "sha256": "ab"},
        }
        place = store / "artifacts" / "compose" / "kk"
        place.mkdir(parents=True)
        (place / f"{'k' * 64}.json").write_bytes(_sealed(data.draw(json_like(record)), data.draw(st.booleans())))
    command = data.draw(
        st.sampled_from(
            [["retry", "run"], ["retry", "run"], ["store", "check"], ["store", "prune", "--dry-run"], ["report", "run"]]
        )
    )
    if command[-1] == "--dry-run":
        command = [*command, "--older-than", "0"]
    return Trial([*command, "--store", str(store)], [str(store), "run"])


def _sealed(data: bytes, wanted: bool) -> bytes:
    """A record with a hash of its own that is right, whatever it holds, where that is wanted and it can have one."""
    try:
        made = json.loads(data)
        rest = {name: value for name, value in made.items() if name != "check"}
        return json.dumps(sealed({**rest, "key": "k" * 64})).encode() if wanted else data
    except (ValueError, TypeError, AttributeError, RecursionError):
        return data


KINDS: dict[str, Maker] = {
    "images": images,
    "masks": masks,
    "kernels": true_kernels,
    "layouts": layouts,
    "options": options,
    "reports": reports,
    "run.json": run_files,
}


def run(kind: str, examples: int, root: Path, chosen_seed: int | None = None, tally: Tally | None = None) -> int:
    """Try so many inputs of a kind; returns how many there were.

    Args:
        kind: one of `KINDS`.
        examples: how many.
        root: a folder, kept between calls.
        chosen_seed: of hypothesis; None for the same inputs each time.
        tally: counts outcomes and collects what is wrong; None raises it, with the smallest input that shows it.
    """
    numbers = iter(range(10**9))
    home = root / "here"
    home.mkdir(parents=True, exist_ok=True)
    tried = [0]

    def trial(data: st.DataObject) -> None:
        folder = root / f"{kind}-{next(numbers)}"
        folder.mkdir(parents=True)
        before = Path.cwd()
        try:
            made = KINDS[kind](data, folder)
            os.chdir(home)
            outcome = commands.call(*made.arguments)
        finally:
            os.chdir(before)
            shutil.rmtree(folder, ignore_errors=True)
        tried[0] += 1
        _judge(f"{kind}, seed {chosen_seed}, case {tried[0]}", made, outcome, tally)

    test = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=chosen_seed is None,
        phases=[Phase.generate, Phase.shrink] if tally is None else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )(given(st.data())(trial))
    if chosen_seed is not None:
        test = seed(chosen_seed)(test)
    test()
    return tried[0]


def _judge(case: str, made: Trial, outcome: Outcome, tally: Tally | None) -> None:
    options = [word for word in made.arguments if word.startswith("--")]
    options += [f"-o {value}" for word, value in pairwise(made.arguments) if word == "-o"]
    written_out = [repr(name)[1:-1] for name in made.names]  # control characters
    wrong, kind = outcome.wrong([*made.names, *written_out, *options]), case.partition(",")[0]
    told = f"{case}: mkgan {' '.join(map(repr, made.arguments))}; stderr: {outcome.err[-500:]!r}"
    if tally is None:
        assert wrong is None, f"{wrong}: {told}"
        return
    tally.count(f"{kind}: {outcome.kind}")
    tally.count("cases")
    if wrong:
        tally.fault(f"{kind}: {_without_values(wrong)}", f"{wrong}: {told}")


def _without_values(text: str) -> str:
    """An exception without what it quotes, so that equal faults are counted together."""
    kind, place = re.match(r"[^:]*", text), re.search(r"\([^ ()]*:\d+\)$", text)
    return f"{kind[0] if kind else ''} {place[0] if place else ''}".strip()
