"""Downloads weights in pieces, with fsspec: resumes after interruptions, and verifies a file before naming it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkgan_core.errors import ConfigError, WeightsError
from mkgan_core.machine import weights
from mkgan_core.machine.places import cache_folder
from mkgan_core.machine.weights import Weights

PIECE = 8 * 1024 * 1024
ATTEMPTS = 3  # broken connections in a row, without a byte in between
CONNECT_S, SILENT_S = 15, 30  # do not hang on a network that drops packets

Progress = Callable[[int, int], None]  # called with the downloaded and the total bytes


def pull(name: str, progress: Progress = lambda done, total: None) -> Path:
    """Download published weights into the cache, unless they are already there; return their path.

    If the connection breaks, the downloaded part stays in ``partial/``, and the next call resumes from there. The file
    gets its name only if size and SHA-256 are the published ones.

    Raises:
        ConfigError: for an unknown name.
        WeightsError: if the network, the disk or the file's content fails.
    """
    entry = known(name)
    target = cache_folder() / entry.file
    if target.exists() and weights.digest(target) == entry.sha256:
        return target
    partial = target.parent / "partial" / entry.file
    try:
        from filelock import FileLock

        partial.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{partial}.lock"):  # a second process waits and finds the file done
            if not (target.exists() and weights.digest(target) == entry.sha256):
                _fetch(entry, partial, progress)
                _admit(entry, partial, target)
    except OSError as fault:
        raise WeightsError(
            f"cannot write {target}: {fault}; free some space, or set MKGAN_CACHE to another folder"
        ) from fault
    return target


def known(name: str) -> Weights:
    """The registry's entry.

    Raises:
        ConfigError: if there is none.
    """
    if name not in weights.REGISTRY:
        raise ConfigError(f"unknown weights '{name}'; choose from `mkgan weights list`: {', '.join(weights.REGISTRY)}")
    return weights.REGISTRY[name]


def _fetch(entry: Weights, partial: Path, progress: Progress) -> None:
    """Append to the partial file until it has the full size."""
    have = partial.stat().st_size if partial.exists() else 0
    if have > entry.size:
        have = 0
    broken = 0
    with partial.open("r+b" if have else "wb") as out:
        out.seek(have)
        while have < entry.size:
            progress(have, entry.size)
            end = min(have + PIECE, entry.size)
            try:
                piece = _read(entry.address, have, end)
            except _network_faults() as fault:
                broken += 1
                if broken < ATTEMPTS and not isinstance(fault, FileNotFoundError):
                    continue
                out.flush()
                raise WeightsError(
                    f"cannot download {entry.address} ({type(fault).__name__}: {fault}); {have} of {entry.size} bytes "
                    f"were downloaded. Run `mkgan weights pull {entry.name}` again to resume, or put {entry.file} into "
                    f"{cache_folder()} yourself"
                ) from fault
            if len(piece) > end - have:  # a server without range requests starts again
                out.seek(0)
                out.truncate()
                have = 0
            if not piece:
                break
            out.write(piece)
            have, broken = have + len(piece), 0
    progress(have, entry.size)


def _admit(entry: Weights, partial: Path, target: Path) -> None:
    """Give a complete and correct download its name; remove anything else."""
    size, digest = partial.stat().st_size, weights.digest(partial)
    if digest != entry.sha256:
        partial.unlink()
        raise WeightsError(
            f"{entry.address} is not the published file: {size} bytes, sha256 {digest} instead of {entry.size} bytes, "
            f"{entry.sha256}; the download was removed. Try again, or put the right {entry.file} into {target.parent}"
        )
    partial.replace(target)


def _read(address: str, start: int, end: int) -> bytes:
    """Bytes of a remote file; a server without range requests sends all of them."""
    import fsspec

    options: dict[str, Any] = {}
    if address.startswith("http"):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S, sock_read=SILENT_S)
        options = {"client_kwargs": {"timeout": timeout, "trust_env": True}}  # trust_env: proxies
    system, path = fsspec.core.url_to_fs(address, **options)
    return system.cat_file(path, start=start, end=end)


def _network_faults() -> tuple[type[BaseException], ...]:
    from aiohttp import ClientError
    from fsspec.exceptions import FSTimeoutError

    return (ClientError, FSTimeoutError, TimeoutError, OSError)
