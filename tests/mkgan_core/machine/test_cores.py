from __future__ import annotations

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
    with pytest.raises(ConfigError, match="no CUDA device"):
        torch_device("cuda")


def test_a_step_while_another_thread_imports_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    with computing():
        assert usage()["threads"] == 1
