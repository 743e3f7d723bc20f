from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
import torch

from mkgan_core.errors import ConfigError
from mkgan_core.machine.cores import computing, torch_device, usage


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


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])", 1),  # the affinity mask
        ("import os; os.environ['LOKY_MAX_CPU_COUNT'] = '1'", 1),  # what a person says
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == expected
