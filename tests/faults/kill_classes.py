"""The classes of kills: what runs, and which of its processes is killed."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil

from tests.e2e import services
from tests.faults import kills, walks
from tests.faults.faulty_fs import REPOSITORY
from tests.faults.kills import Command, Commands, Steps, fork
from tests.faults.tally import Tally

MKGAN = str(Path(sys.executable).with_name("mkgan"))


class Trial(Protocol):
    def round(self, number: int, tally: Tally) -> None: ...


def _wanted(root: Path, data: Path) -> walks.Finished:
    """What an undisturbed plain walk makes."""
    store = root / "wanted"
    root.mkdir(parents=True, exist_ok=True)
    work = fork(lambda: walks.attempt(data, str(store), walks.ALL_METHODS), root / "wanted.log")
    assert kills.ended(work) == 0, (root / "wanted.log").read_text()
    return walks.finished(store)


def _environment(home: Path, api: str | None = None) -> dict[str, str]:
    more = {"MKGAN_HOME": str(home), "MKGAN_WEIGHTS": "", "MKGAN_CACHE": str(home / "cache")}
    if api:
        more |= {"PREFECT_API_URL": api, "PREFECT_HOME": str(home / "prefect")}
    return services.clean_environment(**more)


@contextmanager
def _steps(root: Path, data: Path) -> Iterator[Trial]:
    yield Steps(root, data)


def _with_server(name: str, victims: Callable[[psutil.Process], list[psutil.Process]], *arguments: str) -> Any:
    """A class of kills whose commands share a server, and so start quickly."""

    @contextmanager
    def make(root: Path, data: Path) -> Iterator[Trial]:
        wanted = _wanted(root, data)
        with services.prefect_server(root / "server") as api:
            command = Command(name, _environment(root / "home", api), victims, arguments)
            yield Commands(root, data, wanted, command)

    return make


def _itself(process: psutil.Process) -> list[psutil.Process]:
    return [process]


def _children(*words: str) -> Callable[[psutil.Process], list[psutil.Process]]:
    """The processes below a command whose own command line has one of these words."""

    def find(process: psutil.Process) -> list[psutil.Process]:
        found = []
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                line = " ".join(child.cmdline())
                if any(word in line for word in words) and "resource_tracker" not in line:
                    found.append(child)
        return found

    return find


@contextmanager
def _server(root: Path, data: Path) -> Iterator[Trial]:
    command = Command("server", _environment(root / "home"), _children("server_process"))
    yield Commands(root, data, _wanted(root, data), command)


class Postgres:
    """Kills of PostgreSQL: of one of its processes, or of all of it, which is then started again."""

    def __init__(self, address: str) -> None:
        port = int(address.rsplit(":", 1)[1].split("/")[0])
        self.main = next(
            process
            for process in psutil.process_iter(["cmdline", "ppid"])
            if f"-p {port}" in " ".join(process.info["cmdline"] or ())
            and "postgres" in (process.info["cmdline"] or [""])[0]
        )
        self.line, self.user, self.folder = self.main.cmdline(), self.main.username(), self.main.cwd()
        self.chance = random.Random(port)

    def victims(self, _process: psutil.Process) -> list[psutil.Process]:
        return self.main.children() if self.chance.random() < 0.5 else [self.main]

    def again(self) -> None:
        """Start it again if it is gone, on its old port; it refuses while processes of the killed one are left."""

        def answers() -> bool:
            if started.poll() is not None:
                start()
                time.sleep(1)
            return bool(self.main.children())

        def start() -> None:
            nonlocal started
            started = subprocess.Popen(
                self.line,
                user=self.user,
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.main = psutil.Process(started.pid)

        psutil.wait_procs([self.main], 5)  # it ends by itself if the process that recovers the database was killed
        if self.main.is_running() and self.main.status() != psutil.STATUS_ZOMBIE:
            return
        started: subprocess.Popen[bytes]
        start()
        services.until(answers, "PostgreSQL")


@contextmanager
def _postgres(root: Path, data: Path) -> Iterator[Trial]:
    wanted = _wanted(root, data)
    with ExitStack() as stack:
        address = stack.enter_context(services.postgres())
        database = Postgres(address)
        api = stack.enter_context(services.prefect_server(root / "server", address))
        command = Command("postgres", _environment(root / "home", api), database.victims, after=database.again)
        yield Commands(root, data, wanted, command)


class Worker:
    """Kills of the worker of `mkgan serve`, while it runs a deployment's flow run."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root, self.data, self.wanted, self.log = root, data, _wanted(root, data), root / "serve.log"
        self.port = services.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = _environment(root / "home") | {
            "MKGAN_PORT": str(self.port),
            "MKGAN_DIV2KRK": str(data),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }
        self.serving: subprocess.Popen[bytes] | None = None
        self.seconds = 20.0  # what a flow run takes, roughly

    def start(self) -> None:
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.serving = subprocess.Popen(
                [MKGAN, "serve"], env=self.environment, stdout=out, stderr=out, start_new_session=True
            )
        services.until(lambda: "serving at" in self.log.read_text()[before:] or self.ended(), "mkgan serve")
        assert not self.ended(), self.log.read_text()[-900:]

    def ended(self) -> bool:
        return self.serving is None or self.serving.poll() is not None

    def stop(self) -> None:
        if self.serving and self.serving.poll() is None:
            self.serving.terminate()
            self.serving.wait(90)

    def round(self, number: int, tally: Tally) -> None:
        chance, store = random.Random(number), self.root / f"store-{number}"
        if self.ended():
            self.start()
        assert self.serving
        self._submit(store)
        services.until(lambda: list(store.glob("runs/*")) or self.ended(), "the flow run to start")
        time.sleep(chance.uniform(0, self.seconds / 3))
        workers = _children("worker start")(psutil.Process(self.serving.pid))[:1]
        family = [process for worker in workers for process in kills.family_of(worker)]
        before = walks.record_bytes(store)
        for worker in workers:
            worker.kill()
            tally.count("kills")
        # the flow run's process goes on to its end, or ends; mkgan serve starts another worker, or ends
        _, left = psutil.wait_procs(family, kills.HANG_S)
        for one in left:
            with contextlib.suppress(psutil.Error):
                tally.fault("an orphan", f"round {number}: {' '.join(one.cmdline())[:300]}")
                one.kill()
        tally.count("orphans", len(left))
        tally.count("files .part after a kill", len(walks.parts(store)))
        tally.count("mkgan serve went on", not self.ended())
        if self.ended():
            self.start()
        else:
            line = _children("worker start")
            process = psutil.Process(self.serving.pid)
            services.until(lambda: any(one not in workers for one in line(process)), "another worker")
        tally.count("restarts")
        methods = [word for name in walks.ALL_METHODS for word in ("--method", name)]
        again = [MKGAN, "benchmark", "--dataset", str(self.data), *methods, "--store", str(store)]
        done = subprocess.run(again, env=self.environment, capture_output=True, text=True, timeout=kills.HANG_S)
        run = kills.newest_run(store)
        if done.returncode or run is None:
            tally.fault("not done", f"round {number}: {done.returncode}: {done.stderr[-700:]}")
        else:
            kills.compare(f"round {number}", store, run, self.wanted, before, tally)
        kills.remove(store)

    def _submit(self, store: Path) -> None:
        """Start a run of a deployment, as the UI does."""
        script = (
            "import json, sys\n"
            "from deployments.server import use_configured_api\n"
            "use_configured_api()\n"
            "from prefect.client.orchestration import get_client\n"
            "with get_client(sync_client=True) as client:\n"
            "    made = client.read_deployment_by_name('benchmark/sample-smoke')\n"
            "    client.create_flow_run_from_deployment(made.id, parameters={'config': json.loads(sys.argv[1])})\n"
        )
        config = {"dataset": str(self.data), "methods": list(walks.ALL_METHODS), "store": str(store)}
        command = [sys.executable, "-c", script, json.dumps(config)]
        subprocess.run(command, env=self.environment, cwd=REPOSITORY, check=True, capture_output=True)


@contextmanager
def _worker(root: Path, data: Path) -> Iterator[Trial]:
    trial = Worker(root, data)
    try:
        yield trial
    finally:
        trial.stop()


# class -> how it is set up, and its share of the time
CLASSES: dict[str, tuple[Callable[[Path, Path], AbstractContextManager[Trial]], float]] = {
    "steps": (_steps, 0.25),  # first: it forks this process, which has no threads yet
    "flow": (_with_server("flow", _itself), 0.15),
    "server": (_server, 0.15),
    "child": (_with_server("child", _children("spawn_main", "forkserver"), "--runner", "processes"), 0.12),
    "dask": (_with_server("dask", _children("spawn_main", "forkserver"), "--runner", "dask"), 0.12),
    "postgres": (_postgres, 0.11),
    "worker": (_worker, 0.1),
}
