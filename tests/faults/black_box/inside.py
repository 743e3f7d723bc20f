"""Imported by every Python process of the attacked command before anything else; does what the environment asks for."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

WAIT_S = 5
asked = {name.removeprefix("BLACK_BOX_"): value for name, value in os.environ.items() if name.startswith("BLACK_BOX_")}


def faulty_file_system(source: str) -> None:
    """fsspec's protocol ``faulty``, from `tests/faults/faulty_fs.py`."""
    spec = importlib.util.spec_from_file_location("black_box_faulty_fs", source)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.register()


def torch_in_the_middle(_: str) -> None:
    """Threads that import scipy.stats and torch at the same time: each waits a while for the other to have begun."""
    finished: set[str] = set()

    def wait(ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and not ready():
            time.sleep(0.01)

    for loader in (importlib.machinery.SourceFileLoader, importlib.machinery.ExtensionFileLoader):

        def slowly(self: Any, module: Any, really: Any = loader.exec_module) -> None:
            if threading.current_thread() is not threading.main_thread():
                if module.__name__ == "scipy.stats":
                    wait(lambda: "torch" in sys.modules)
                elif module.__name__ == "torch._utils":  # one of the first that torch imports
                    wait(lambda: "scipy.stats" in finished)
            try:
                really(self, module)
            finally:
                finished.add(module.__name__)

        loader.exec_module = slowly  # type: ignore[method-assign]


def note_threads(file: str) -> None:
    """Write down how many threads torch has when it is imported, and each number that it is told to use."""
    really = importlib.machinery.SourceFileLoader.exec_module

    def say(number: int) -> None:
        with open(file, "a") as log:
            log.write(f"{number}\n")

    def loaded(self: Any, module: Any) -> None:
        really(self, module)
        if module.__name__ == "torch":
            say(module.get_num_threads())
            set_number = module.set_num_threads

            def told(number: int) -> None:
                say(number)
                set_number(number)

            module.set_num_threads = told

    importlib.machinery.SourceFileLoader.exec_module = loaded  # type: ignore[method-assign]


def note_pixels(file: str) -> None:
    """Write a line for each picture whose pixels are decoded."""
    from PIL import ImageFile

    really = ImageFile.ImageFile.load

    def load(self: Any, *arguments: Any) -> Any:
        if getattr(self, "tile", None):
            with open(file, "a") as log:
                log.write(f"{self.size}\n")
        return really(self, *arguments)

    ImageFile.ImageFile.load = load  # type: ignore[method-assign]


def note_syncs(file: str) -> None:
    """Write down which files are synced, and which renamed: ``sync PATH``, ``move OLD NEW``."""
    sync = os.fsync

    def say(line: str) -> None:
        with open(file, "a") as log:
            log.write(line + "\n")

    def synced(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        say(f"sync {os.readlink(f'/proc/self/fd/{number}')}")
        sync(descriptor)

    os.fsync = synced
    for name in ("rename", "replace"):

        def moved(old: Any, new: Any, *more: Any, really: Any = getattr(os, name), **options: Any) -> None:
            say(f"move {os.fspath(old)} {os.fspath(new)}")
            really(old, new, *more, **options)

        setattr(os, name, moved)


def slow_pictures(seconds: str) -> None:
    """A machine on which every picture takes a while to be written: steps last long enough to meet each other."""
    from PIL import Image

    really = Image.Image.save

    def save(self: Any, *arguments: Any, **options: Any) -> None:
        time.sleep(float(seconds))
        really(self, *arguments, **options)

    Image.Image.save = save  # type: ignore[method-assign]


for wish, do in {
    "FAULTY_FS": faulty_file_system,
    "TORCH_IN_THE_MIDDLE": torch_in_the_middle,
    "THREADS": note_threads,
    "PIXELS": note_pixels,
    "SYNCS": note_syncs,
    "SLOW_PICTURES": slow_pictures,
}.items():
    if wish in asked:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            do(asked[wish])
