"""The artifact store: anything fsspec can reach, content-addressed, files written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any, TypedDict

from mkgan_core.errors import ArtifactError, StorageError
from mkgan_core.machine import secrets
from mkgan_core.machine.locks import locked

# object stores put a file whole or not at all; others get a temporary name first
_ATOMIC_PROTOCOLS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "memory"}

# How often an S3 request is tried again; the waits in between are random, up to 1, 2, 4, ... s. Eight outlast a minute
# on the average, and half of one almost always. Not botocore's newer modes: they share one budget of retries among all
# threads, and an outage uses it up.
_RETRIES, _FEW_RETRIES = 8, 2
_PROBE_BYTES = 2**20  # a full disk still takes an empty file
PART = ".part"  # ending of a file that is being written
LOCKS = "locks"  # folder of `Store.lock`


class StoredFile(TypedDict):
    """A file of a store as a record names it.

    Keys:
        name: relative to the store's root, so that a store may be moved.
        size: bytes.
        sha256: hexadecimal.
    """

    name: str
    size: int
    sha256: str


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def content_key(parts: Mapping[str, Any]) -> str:
    """The key of an artifact: SHA-256 of everything its content depends on, as canonical JSON."""
    return sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode())


def without_end(uri: str) -> str:
    """A place without slashes at its end, but for the root of a file system: ``file://`` is the working directory.

    Example:
        >>> without_end("s3://bucket/store/"), without_end("file:///")
        ('s3://bucket/store', 'file:///')
    """
    scheme, slashes, place = uri.partition("://")
    return f"{scheme}{slashes}{place.rstrip('/') or '/'}" if slashes else uri.rstrip("/")


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

        self.uri = secrets.hide(uri)
        with _faults(f"cannot open the store {self.uri}"):
            opened = secrets.reveal(self.uri)
            if secrets.is_masked(opened):
                raise StorageError(
                    f"what is masked in {self.uri} is not known to this process; start the same command again with the "
                    "whole URL (finished steps are kept), or use fsspec's configuration"
                )
            self.fs, self.root = fsspec.core.url_to_fs(opened, **storage_options(opened, patient))
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        self.atomic = bool(protocols & _ATOMIC_PROTOCOLS)
        self.local = "file" in protocols
        if "://" not in uri or self.local or "memory" in protocols:
            self.uri = self.fs.unstrip_protocol(self.root)
        self.uri = without_end(self.uri)
        self._inside = self.uri if self.uri.endswith("/") else f"{self.uri}/"

    def path(self, name: str) -> str:
        """The file system's own path of a file named relative to the root, or by its full URI.

        Raises:
            ArtifactError: for a name that leaves the root.
        """
        inside = name.removeprefix(self._inside)
        if "://" in inside or inside.startswith("/") or ".." in inside.split("/"):
            raise ArtifactError(f"{name!r} is no name of a file in {self.uri}: it leads out of it")
        return posixpath.join(self.root, inside)

    def uri_of(self, name: str) -> str:
        """The full URI of a file named relative to the root."""
        return f"{self._inside}{name}"

    def exists(self, name: str) -> bool:
        with _faults(f"cannot reach {self.uri}"):
            return bool(self.fs.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            ArtifactError: if there is none, or something that is no file: a folder, a pipe, a device.
        """
        with _faults(f"cannot read {name} in {self.uri}"):
            path = self.path(name)
            if self.local and not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would keep us waiting for ever
                raise ArtifactError(f"{self._shown(name)} is no regular file; name one, or remove it")
            return self.fs.cat_file(path)

    def fetch(self, file: StoredFile) -> bytes:
        """The content of a file that a record names.

        Raises:
            ArtifactError: if it is missing, cut or altered.
        """
        data = self.read(file["name"])
        if len(data) != file["size"] or sha256(data) != file["sha256"]:
            what = f"{len(data)} of {file['size']} bytes" if len(data) != file["size"] else "not what was written"
            raise ArtifactError(
                f"{self._shown(file['name'])} is damaged ({what}); run the same command again, which makes it anew"
            )
        return data

    def put(self, name: str, data: bytes) -> StoredFile:
        """Write a file as `write` does; returns how a record names it."""
        self.write(name, data)
        return {"name": name, "size": len(data), "sha256": sha256(data)}

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
        """Write a file so that nobody ever sees half of it, not after a power cut either; returns its URI."""
        with _faults(f"cannot write to the store {self.uri}", "; choose a writable place with --store"):
            path = self.path(name)
            if self.atomic:
                self.fs.pipe_file(path, data)
            else:
                self._write_apart(path, data)
        return self.uri_of(name)

    def _write_apart(self, path: str, data: bytes) -> None:
        """Write under another name first."""
        folder = posixpath.dirname(path)
        self._make_folder(folder)
        temporary = f"{path}.{uuid.uuid4().hex}{PART}"
        try:
            with self.fs.open(temporary, "wb") as file:
                file.write(data)
                if self.local:  # a renamed file whose content is only in memory would be empty after a power cut
                    file.flush()
                    os.fsync(file.fileno())
            if (written := self.fs.info(temporary)["size"]) != len(data):
                raise OSError(f"{written} of {len(data)} bytes arrived")
            if self.local:
                os.replace(temporary, path)
                _sync(folder)
            elif self.fs.isdir(path):  # a file system would move the file into it
                raise IsADirectoryError(f"{path} is a folder")
            else:
                self.fs.mv(temporary, path)
        except BaseException:
            if self.fs.exists(temporary):
                self.fs.rm_file(temporary)
            raise

    def _make_folder(self, folder: str) -> None:
        if not self.local or os.path.isdir(folder):
            self.fs.makedirs(folder, exist_ok=True)
            return
        parent = posixpath.dirname(folder)
        self._make_folder(parent)
        os.makedirs(folder, exist_ok=True)
        _sync(parent)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep others out who want the same lock (`locks.locked`); only a local store can."""
        with locked(self.path(f"{LOCKS}/{name}")) if self.local else nullcontext():
            yield

    def files(self, folder: str) -> list[str]:
        """Names of all files in a folder, however deep, sorted; empty when there is no such folder."""
        with _faults(f"cannot list {folder} in {self.uri}"):
            self.fs.invalidate_cache()
            place = self.path(folder)
            found = self.fs.find(place) if self.fs.exists(place) else []
        return sorted(path[len(self.root) :].lstrip("/") for path in found)

    def size(self, name: str) -> int:
        """Bytes of a file."""
        with _faults(f"cannot reach {name} in {self.uri}"):
            return int(self.fs.size(self.path(name)) or 0)

    def modified(self, name: str) -> datetime | None:
        """When a file was written; None where the file system does not tell."""
        with _faults(f"cannot reach {name} in {self.uri}"):
            try:
                at = self.fs.modified(self.path(name))
            except NotImplementedError:
                return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def remove(self, name: str) -> None:
        """Remove a file; it is no fault if somebody else did."""
        with _faults(f"cannot remove {name} from {self.uri}"), suppress(FileNotFoundError):
            self.fs.rm_file(self.path(name))

    def _shown(self, name: str) -> str:
        return name if "://" in name else self.uri_of(name)

    def read_json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def write_json(self, name: str, value: Any) -> str:
        return self.write(name, json.dumps(value, sort_keys=True, allow_nan=False).encode())

    def check_writable(self) -> None:
        """Write a megabyte, read it back, and remove it.

        Raises:
            StorageError: when that fails.
        """
        name = f".probe-{uuid.uuid4().hex}"
        file = self.put(name, os.urandom(_PROBE_BYTES))
        try:
            self.fetch(file)
        finally:
            self.remove(name)


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
    except StorageError:
        raise
    except Exception as fault:
        kind = ArtifactError if isinstance(fault, FileNotFoundError) else StorageError
        text = str(fault) or type(fault).__name__
        shown = secrets.mask(text)
        # a cause that names a password would print it with every traceback
        raise kind(f"{what}: {shown}{remedy}") from (fault if shown == text else None)


def _sync(folder: str) -> None:
    """Have a folder's entries written to the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def storage_options(uri: str, patient: bool = True) -> dict[str, Any]:
    """What the file system is opened with, beside the user's own settings (fsspec's configuration, AWS_* variables)."""
    from fsspec.config import conf
    from fsspec.utils import get_protocol

    protocol = get_protocol(uri)
    if protocol not in ("s3", "s3a"):
        return {}
    retries = {"mode": "legacy", "max_attempts": _RETRIES if patient else _FEW_RETRIES}
    return {"config_kwargs": {"retries": retries, **conf.get(protocol, {}).get("config_kwargs", {})}}
