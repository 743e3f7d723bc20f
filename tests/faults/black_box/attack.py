"""The command `mkgan` of any checkout, attacked from outside: by its options, its files, its environment and signals.

Nothing of mkgan is imported here: what is attacked is the checkout in the variable `CHECKOUT`, by default this one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

CHECKOUT = Path(os.environ.get("MKGAN_CHECKOUT", Path(__file__).parents[3])).resolve()
PATIENCE_S = 240  # what takes longer hangs
FAULTY_FS = Path(__file__).parents[1] / "faulty_fs.py"
TRACEBACK = "Traceback (most recent call last)"
METHODS = ("--method", "bicubic", "--method", "spectral+back-projection")
SCORES = ["image", "method", "seed", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "mse_rgb", "status"]
ENTRY = """
import importlib, pathlib, sys
module = importlib.import_module({module!r})
if pathlib.Path({checkout!r}) not in pathlib.Path(module.__file__).resolve().parents:
    sys.exit(f"this is not the checkout that is attacked: {{module.__file__}}")
sys.argv[0] = "mkgan"
sys.exit(module.{function}())
"""


class Unprovoked(Exception):
    """The attack itself did not come off; nothing is said about the code."""


def provoked(done: Any, what: str) -> None:
    """What must be so for the attack to say something."""
    if not done:
        raise Unprovoked(what)


def shim(folder: Path) -> Path:
    """A folder that makes Python see the checkout's own requirements, and `inside.py`, before anything else."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    extras = {**project.get("optional-dependencies", {})}
    lines = ["Metadata-Version: 2.1", "Name: mkgan", f"Version: {project.get('version', '0.1.0')}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in wanted]
    for extra, more in extras.items():
        lines += [f"Provides-Extra: {extra}", *(f'Requires-Dist: {r} ; extra == "{extra}"' for r in more)]
    about = folder / "mkgan-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("\n".join(lines) + "\n")
    shutil.copy(Path(__file__).with_name("inside.py"), folder / "sitecustomize.py")
    return folder


@dataclass(frozen=True)
class Done:
    """What a command did; ``code`` is None if it hung."""

    code: int | None
    out: str
    err: str
    before: frozenset[str] = frozenset()

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def gist(self) -> str:
        """The last lines that speak of an error, else the last lines."""
        lines = [line.strip()[:400] for line in self.said.splitlines() if line.strip()]
        return " | ".join([line for line in lines if "rror" in line][-2:] or lines[-3:])

    def is_orderly(self, *codes: int) -> None:
        """It ended, with one of these exit codes, and without a traceback."""
        assert self.code is not None, f"it hangs: {self.gist}"
        assert self.code in codes, f"exit code {self.code}: {self.gist}"
        assert TRACEBACK not in self.said, f"traceback: {self.gist}"


@dataclass
class Mkgan:
    """The attacked command, with a home of its own.

    Attributes:
        folder: where it runs; ``home`` in it is MKGAN_HOME.
        shim: from `shim`.
        variables: more of its environment.
    """

    folder: Path
    shim: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def store(self) -> Path:
        return self.home / "store"

    def using(self, **variables: str) -> Mkgan:
        """The same with more variables."""
        return Mkgan(self.folder, self.shim, {**self.variables, **variables})

    def failing(self, *faults: dict[str, Any], log: Path | None = None) -> Mkgan:
        """The same where fsspec's protocol ``faulty`` fails so: the fields of `faulty_fs.Fault`."""
        plan = {"faults": list(faults), "seed": 1, "log": str(log) if log else None}
        return self.using(MKGAN_FAULTS=json.dumps(plan), BLACK_BOX_FAULTY_FS=str(FAULTY_FS))

    def environment(self) -> dict[str, str]:
        own = ("PREFECT_", "MKGAN_", "AWS_", "PYTHON", "BLACK_BOX_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "COLUMNS": "400"}
        paths = os.pathsep.join([str(self.shim), str(CHECKOUT)])
        places = {"MKGAN_HOME": str(self.home), "MKGAN_CACHE": str(self.folder / "cache"), "MKGAN_WEIGHTS": ""}
        places["YOLO_CONFIG_DIR"] = str(self.folder)
        return {**kept, **quiet, **places, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **self.variables}

    def command(self, *arguments: str | bytes | Path) -> list[Any]:
        scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
        module, _, function = scripts["mkgan"].partition(":")
        entry = ENTRY.format(module=module, function=function, checkout=str(CHECKOUT))
        return [sys.executable, "-c", entry, *arguments]

    def __call__(self, *arguments: str | bytes | Path, patience_s: float = PATIENCE_S) -> Done:
        """Run it to its end, or until it hangs."""
        with self.started(*arguments) as running:
            with_limit = running.wait(patience_s)
            return Done(with_limit, running.read("out"), running.read("err"))

    @contextmanager
    def started(self, *arguments: str | bytes | Path) -> Iterator[Running]:
        """While the block runs, so does the command, in a process group of its own; nothing of it is left after."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"command-{time.monotonic_ns()}"
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(
                self.command(*arguments), env=self.environment(), cwd=self.folder, stdout=out, stderr=err,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        running = Running(process, self.folder / name)
        try:
            yield running
        finally:
            running.end()

    def benchmark(self, data: Path | str, *options: str | Path, patience_s: float = PATIENCE_S) -> Done:
        """A benchmark of a data set; `made` gives its report."""
        before = frozenset(path.name for path in self.store.glob("runs/*"))
        done = self("benchmark", "--dataset", str(data), *options, patience_s=patience_s)
        return Done(done.code, done.out, done.err, before)

    def made(self, done: Done, store: Path | None = None) -> pd.DataFrame:
        """The rows of the report of a benchmark."""
        store = store or self.store
        reports = [p for p in store.glob("runs/*/report.parquet") if p.parent.name not in done.before]
        assert reports, f"no report: {done.said[-3000:]}"
        return pd.read_parquet(max(reports, key=lambda path: path.stat().st_mtime_ns))


@dataclass
class Running:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    files: Path

    def read(self, stream: str) -> str:
        return self.files.with_name(f"{self.files.name}.{stream}").read_bytes().decode(errors="replace")

    @property
    def said(self) -> str:
        return self.read("out") + self.read("err")

    def wait(self, patience_s: float = PATIENCE_S) -> int | None:
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None

    def until(self, wanted: Callable[[], Any], what: str) -> Any:
        """Wait until something is so while it runs."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := wanted():
                return found
            time.sleep(0.02)
        raise Unprovoked(f"{what} did not come about: {self.said[-2000:]}")

    def signal(self, number: int) -> None:
        """As a terminal does: to the whole group."""
        os.killpg(self.process.pid, number)

    def server(self) -> psutil.Process:
        """The embedded server."""
        for child in psutil.Process(self.process.pid).children():
            if any("server_process" in word for word in child.cmdline()):
                return child
        raise Unprovoked("there is no embedded server")

    def end(self) -> None:
        """Kill what is left, children first noted."""
        left = [self.process.pid]
        with suppress(psutil.Error):
            left += [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def scores(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """The scores to the last bit, in order."""
    table = rows[SCORES].sort_values(["image", "method", "seed"]).reset_index(drop=True)
    return {name: [v.hex() if isinstance(v, float) else v for v in table[name]] for name in SCORES}


def pictures(rows: pd.DataFrame) -> dict[str, str]:
    """SHA-256 of each picture that the report names; fails for one that is not there."""
    found = {}
    for row in rows.to_dict("records"):
        path = Path(str(row["output_uri"]).removeprefix("file://"))
        assert path.is_file(), f"the report names {path}, which does not exist"
        found[f"{row['image']} {row['method']} {row['seed']}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@dataclass(frozen=True)
class Finished:
    """A run that nothing disturbed, and the home that it left."""

    mkgan: Mkgan
    data: Path
    rows: pd.DataFrame
    scores: dict[str, list]
    pictures: dict[str, str]

    def again(self, *options: str) -> Done:
        return self.mkgan.benchmark(self.data, *METHODS, *options)

    def is_whole(self, done: Done) -> None:
        """The report of a run has the scores and the pictures of the undisturbed one, to the last bit."""
        done.is_orderly(0)
        rows = self.mkgan.made(done)
        assert scores(rows) == self.scores
        assert pictures(rows) == self.pictures

    @property
    def run(self) -> str:
        return str(self.rows["run_id"].iloc[0])
