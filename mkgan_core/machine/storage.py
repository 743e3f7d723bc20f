"""The artifact store: anything fsspec can reach, content-addressed, files written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import posixpath
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mkgan_core.errors import StorageError

# object stores put a file whole or not at all; others get a temporary name first
_ATOMIC_PROTOCOLS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "memory"}

# How often an S3 request is tried again; the waits in between are random, up to 1, 2, 4, ... s. Eight outlast a minute
# on the average, and half of one almost always. Not botocore's newer modes: they share one budget of retries among all
# threads, and an outage uses it up.
_RETRIES, _FEW_RETRIES = 8, 2


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def content_key(parts: Mapping[str, Any]) -> str:
    """The key of an artifact: SHA-256 of everything its content depends on, as canonical JSON."""
    return sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode())


class Store:
    """A folder of files at a URI (``file://``, ``memory://``, ``s3://``, or a plain path).

    Args:
        uri: the place.
        patient: wait a minute for a store that does not answer; otherwise a few seconds, to say so before a run starts.

    Raises:
        StorageError: from every method, when the place cannot be reached, read or written.
    """

    def __init__(self, uri: str, *, patient: bool = True) -> None:
        import fsspec

        with _faults(f"cannot open the store {uri}"):
            self.fs, self.root = fsspec.core.url_to_fs(uri, **storage_options(uri, patient))
        protocol = self.fs.protocol if isinstance(self.fs.protocol, str) else self.fs.protocol[0]
        self.atomic = protocol in _ATOMIC_PROTOCOLS
        self.uri = self.fs.unstrip_protocol(self.root).rstrip("/")

    def path(self, name: str) -> str:
        """The file system's own path of a file named relative to the root, or by its full URI."""
        return self.fs._strip_protocol(name) if "://" in name else posixpath.join(self.root, name)

    def uri_of(self, name: str) -> str:
        """The full URI of a file named relative to the root."""
        return f"{self.uri}/{name}"

    def exists(self, name: str) -> bool:
        with _faults(f"cannot reach {self.uri}"):
            return bool(self.fs.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        with _faults(f"cannot read {name} in {self.uri}"):
            return self.fs.cat_file(self.path(name))

    def list(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, sorted; empty when there is no such folder."""
        path = self.path(folder).rstrip("/")
        with _faults(f"cannot list {folder} in {self.uri}"):
            self.fs.invalidate_cache(path)
            try:
                return sorted(posixpath.basename(entry.rstrip("/")) for entry in self.fs.ls(path, detail=False))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def write(self, name: str, data: bytes) -> str:
        """Write a file so that nobody ever sees half of it; returns its URI."""
        path = self.path(name)
        with _faults(f"cannot write to the store {self.uri}", "; choose a writable place with --store"):
            if self.atomic:
                self.fs.pipe_file(path, data)
            else:
                self.fs.makedirs(posixpath.dirname(path), exist_ok=True)
                temporary = f"{path}.{uuid.uuid4().hex}.part"
                try:
                    self.fs.pipe_file(temporary, data)
                    self.fs.mv(temporary, path)
                except BaseException:
                    if self.fs.exists(temporary):
                        self.fs.rm_file(temporary)
                    raise
        return self.uri_of(name)

    def read_json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def write_json(self, name: str, value: Any) -> str:
        return self.write(name, json.dumps(value, sort_keys=True, allow_nan=False).encode())

    def check_writable(self) -> None:
        """Write and remove a small file.

        Raises:
            StorageError: when that fails.
        """
        name = f".probe-{uuid.uuid4().hex}"
        self.write(name, b"")
        with _faults(f"cannot remove a file from {self.uri}"):
            self.fs.rm_file(self.path(name))


@contextmanager
def scratch() -> Iterator[Store]:
    """A store in this process's memory that is gone when the block ends.

    Example:
        >>> with scratch() as store:
        ...     store.read(store.write("a/b.txt", b"text"))
        b'text'
    """
    store = Store(f"memory://mkgan-{uuid.uuid4().hex}")
    try:
        yield store
    finally:
        if store.exists(""):
            store.fs.rm(store.root, recursive=True)


@contextmanager
def _faults(what: str, remedy: str = "") -> Iterator[None]:
    """Make a StorageError of whatever goes wrong: file systems raise errors of their own, not only OSErrors."""
    try:
        yield
    except Exception as fault:
        raise StorageError(f"{what}: {fault}{remedy}") from fault


def storage_options(uri: str, patient: bool = True) -> dict[str, Any]:
    """What the file system is opened with, beside the user's own settings (fsspec's configuration, AWS_* variables)."""
    from fsspec.config import conf
    from fsspec.utils import get_protocol

    protocol = get_protocol(uri)
    if protocol not in ("s3", "s3a"):
        return {}
    retries = {"mode": "legacy", "max_attempts": _RETRIES if patient else _FEW_RETRIES}
    return {"config_kwargs": {"retries": retries, **conf.get(protocol, {}).get("config_kwargs", {})}}
