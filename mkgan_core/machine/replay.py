"""Steps of a training on a GPU: recorded once as a CUDA graph and replayed, which spares the launch of every kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

EAGER = 3  # steps before the recording: libraries set themselves up in the first, which cannot be recorded
_recording = threading.Lock()


class Replayed:
    """A step that is called again and again; on a GPU it is recorded once and then replayed.

    The step may depend on nothing but tensors that stay where they are, and must wait for nothing on the host. On the
    CPU it is called as it is.

    Args:
        step: changes tensors in place.
        device: where they are.

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
        """One step; on a GPU it is queued."""
        if self._graph:
            self._graph.replay()
            return
        if self._on_gpu and self._calls == EAGER:
            self._graph = self._record()
            self._graph.replay()  # recording does nothing else
            return
        self._step()
        self._calls += 1

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        # other threads of this process use the card meanwhile, and may ask for memory
        with (
            _recording,
            torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"),
        ):
            self._step()
        return graph


@contextmanager
def own_stream(device: str) -> Iterator[None]:
    """Queue the work of the block beside that of other threads; all of it is done at the end.

    What other threads queued before is done first. Does nothing on the CPU. Tensors made inside must not be used
    outside: their memory may be given to the next block while that still computes.
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
    """Wait for what this thread queued, so that who counts steps counts those that are done."""
    if device.startswith("cuda"):
        torch.cuda.current_stream().synchronize()
