"""Training steps on a GPU, recorded once as a CUDA graph and replayed, which saves launching every GPU kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

EAGER = 3  # steps before the recording: libraries initialise in the first ones, which cannot be recorded
_recording = threading.Lock()


class Replayed:
    """A step that is called repeatedly; on a GPU it is recorded once and then replayed.

    The step may depend only on tensors that stay at the same address, and must not wait for the host. On the CPU it is
    called normally.

    Args:
        step: changes tensors in place.
        device: the tensors' device.

    Example:
        >>> total = torch.zeros(1)
        >>> step = Replayed(lambda: total.add_(1), "cpu")
        >>> for _ in range(5):
        ...     step()
        >>> total.item()
        5.0
    """

    def __init__(self, step: Callable[[], object], device: str) -> None:
        self._step, self._on_gpu = step, device.startswith("cuda")
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do one step; on a GPU it is only queued."""
        if self._graph:
            self._graph.replay()
            return
        if self._on_gpu and self._calls == EAGER:
            self._graph = self._record()
            self._graph.replay()  # recording does not execute the step
            return
        self._step()
        self._calls += 1

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        # other threads of this process use the GPU meanwhile, and may allocate memory
        with (
            _recording,
            torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"),
        ):
            self._step()
        return graph


@contextmanager
def own_stream(device: str) -> Iterator[None]:
    """Queue the work of the block in its own stream, in parallel to other threads; it is finished at the end.

    Work that other threads queued earlier is done first. Does nothing on the CPU. Do not use tensors created inside the
    block outside of it: their memory may be reused by the next block while they are still in use.
    """
    if not device.startswith("cuda"):
        yield
        return
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.default_stream())
        with torch.cuda.stream(stream):
            yield
        stream.synchronize()


def wait(device: str) -> None:
    """Wait for the steps that this thread has queued, so that progress counts finished steps."""
    if device.startswith("cuda"):
        torch.cuda.current_stream().synchronize()
