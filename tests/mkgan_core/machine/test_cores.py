from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
import torch

from mkgan_core.errors import ConfigError
from mkgan_core.machine import cores
from mkgan_core.machine.cores import computing, idle, side_by_side, torch_device, usage


def test_several_gpus_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    chosen = [torch_device("auto") for _ in range(6)]
    assert sorted(chosen) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1", "cuda:2", "cuda:2"]
    assert chosen[:3] == chosen[3:]
    assert torch_device("cpu") == "cpu"


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto") == "cpu"
    with pytest.raises(ConfigError, match="--device cuda"):
        torch_device("cuda")


def test_a_step_while_another_thread_imports_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    with computing():
        assert usage()["threads"] == 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_pieces_of_work_side_by_side(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """In order, whoever does them; all cores are free again afterwards, also when a piece fails."""
    pool = cores._CorePool(count)
    monkeypatch.setattr(cores, "_pool", lambda: pool)
    assert side_by_side([lambda number=number: number for number in range(7)]) == list(range(7))
    threads = side_by_side([threading.get_ident] * 2)
    assert threads[0] == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1 // 0, lambda: 2])
    with pytest.raises(ZeroDivisionError):
        side_by_side([lambda: 1, lambda: 1 // 0])
    assert pool.free == count
    with computing(count):  # nothing is left over: this thread does all
        assert side_by_side([threading.get_ident] * 3) == [threading.get_ident()] * 3


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])", 1),  # the affinity mask
        ("import os; os.environ['LOKY_MAX_CPU_COUNT'] = '1'", 1),  # what a person says
        ("import os; os.environ['OMP_NUM_THREADS'] = '1'", 1),
        # a container's CPU quota of one core and a half: its cgroup's file, as the kernel shows it inside
        (
            "import io, os; from types import SimpleNamespace as Fake; from loky.backend import context;"
            "context.open = lambda name: io.StringIO('150000 100000\\n');"
            "path = Fake(exists=lambda name: 'cpu.max' in name);"
            "context.os = Fake(path=path, environ={}, cpu_count=lambda: 64, sched_getaffinity=lambda pid: range(64))",
            2,
        ),
    ],
)
def test_cores_are_those_that_this_process_may_use(prefix: str, expected: int) -> None:
    code = f"{prefix}\nfrom mkgan_core.machine.cores import cores; print(cores())"
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout) == expected


def test_who_waits_leaves_its_core_to_others() -> None:
    """All cores are held by one who waits; another takes them meanwhile, and gives them back."""
    with computing(cores.cores()), idle():
        other = threading.Thread(target=lambda: _hold(cores.cores()))
        other.start()
        other.join(10)
        assert not other.is_alive()


def _hold(count: int) -> None:
    with computing(count):
        pass


def test_cores_are_never_oversubscribed() -> None:
    """Steps that want one core or all of them: never more in use than there are, and nobody starves."""
    in_use, most, lock = [0], [0], threading.Lock()
    total = cores.cores()

    def step(wanted: int) -> None:
        with computing(wanted):
            with lock:
                in_use[0] += min(wanted, total)
                most[0] = max(most[0], in_use[0])
            time.sleep(0.002)
            with computing(wanted):  # a step inside a step takes no more
                pass
            with lock:
                in_use[0] -= min(wanted, total)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(step, [1, total, 1, 1, 99] * 20))
    assert most[0] <= total
    assert in_use[0] == 0
