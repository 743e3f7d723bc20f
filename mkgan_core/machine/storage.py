"""The artifact store: any place that fsspec supports, content-addressed, with atomic writes."""

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

# object stores write files atomically; for the others, write under a temporary name first
_ATOMIC_PROTOCOLS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "memory"}

# Number of retries for an S3 request, with random waits of up to 1, 2, 4, ... s. Eight last a minute on average, and
# half a minute almost always. We do not use botocore's newer modes: all threads share their retries, so an outage uses
# them up.
_RETRIES, _FEW_RETRIES = 8, 2
_PROBE_BYTES = 2**20  # a full disk still accepts an empty file
PART = ".part"  # ending of a file that is being written
LOCKS = "locks"  # folder of `Store.lock`


class StoredFile(TypedDict):
    """A reference to a file of a store, as used in records.

    Keys:
        name: relative to the store's root, so that the store can be moved.
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
    """A path or URL without trailing slashes, except for a file system's root: ``file://`` is the working directory.

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
        patient: whether to wait a minute for a store that does not answer; otherwise a few seconds, for checks before a
            run.
        option: the option or argument by which the user chose the place, for messages.

    Raises:
        StorageError: from every method, if the place cannot be reached, read or written.
    """

    def __init__(self, uri: str, *, patient: bool = True, option: str = "--store") -> None:
        import fsspec

        self.option = option
        self.uri = secrets.hide(uri)
        with _faults(f"cannot open {self.uri}"):
            opened = secrets.reveal(self.uri)
            if secrets.is_masked(opened):
                raise StorageError(
                    f"this process does not know the secret that is masked in {self.uri}; repeat the command with the "
                    "full URL (finished steps are kept), or use fsspec's configuration"
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
        """The file system's path of a file, given relative to the root or by its full URI.

        Raises:
            ArtifactError: for a name that leaves the root.
        """
        inside = name.removeprefix(self._inside)
        if "://" in inside or inside.startswith("/") or ".." in inside.split("/"):
            raise ArtifactError(f"{name!r} does not name a file inside {self.uri}")
        return posixpath.join(self.root, inside)

    def uri_of(self, name: str) -> str:
        """The full URI of a file, given relative to the root."""
        return f"{self._inside}{name}"

    def exists(self, name: str) -> bool:
        with _faults(f"cannot reach {self.uri}"):
            return bool(self.fs.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            ArtifactError: if it is missing or not a file: a folder, a pipe, a device.
        """
        with _faults(f"cannot read {self._shown(name)}"):
            path = self.path(name)
            if self.local and not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would never end
                raise ArtifactError(f"{self._shown(name)} is not a regular file")
            return self.fs.cat_file(path)

    def fetch(self, file: StoredFile) -> bytes:
        """The content of a file referenced in a record.

        Raises:
            ArtifactError: if it is missing, truncated or altered.
        """
        data = self.read(file["name"])
        if len(data) != file["size"] or sha256(data) != file["sha256"]:
            what = f"{len(data)} of {file['size']} bytes" if len(data) != file["size"] else "its content has changed"
            raise ArtifactError(
                f"{self._shown(file['name'])} is damaged ({what}); repeat the command to create it again"
            )
        return data

    def put(self, name: str, data: bytes) -> StoredFile:
        """Write a file as `write` does; return a reference for records."""
        self.write(name, data)
        return {"name": name, "size": len(data), "sha256": sha256(data)}

    def list(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, sorted; empty if there is no such folder."""
        path = self.path(folder).rstrip("/")
        with _faults(f"cannot list {folder} in {self.uri}"):
            self.fs.invalidate_cache(path)
            try:
                return sorted(posixpath.basename(entry.rstrip("/")) for entry in self.fs.ls(path, detail=False))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def write(self, name: str, data: bytes) -> str:
        """Write a file atomically, even in case of a power cut; return its URI."""
        with _faults(f"cannot write {self._shown(name)}", f"; choose another {self.option}"):
            path = self.path(name)
            if self.atomic:
                self.fs.pipe_file(path, data)
            else:
                self._write_apart(path, data)
        return self.uri_of(name)

    def _write_apart(self, path: str, data: bytes) -> None:
        """Write under a temporary name, then rename."""
        folder = posixpath.dirname(path)
        self._make_folder(folder)
        temporary = posixpath.join(folder, f".{uuid.uuid4().hex}{PART}")  # a name may already have the longest length
        try:
            with self.fs.open(temporary, "wb") as file:
                file.write(data)
                if self.local:  # without fsync, a renamed file could be empty after a power cut
                    file.flush()
                    os.fsync(file.fileno())
            if (written := self.fs.info(temporary)["size"]) != len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")
            if self.local:
                os.replace(temporary, path)
                _sync(folder)
            elif self.fs.isdir(path):  # the rename would move the file into it
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
        """Hold a lock during the block (`locks.locked`); does nothing for a store that is not local."""
        with locked(self.path(f"{LOCKS}/{name}")) if self.local else nullcontext():
            yield

    def files(self, folder: str) -> list[str]:
        """Names of all files in a folder and its subfolders, sorted; empty if there is no such folder."""
        with _faults(f"cannot list {folder} in {self.uri}"):
            self.fs.invalidate_cache()
            place = self.path(folder)
            found = self.fs.find(place) if self.fs.exists(place) else []
        return sorted(path[len(self.root) :].lstrip("/") for path in found)

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        with _faults(f"cannot reach {name} in {self.uri}"):
            return int(self.fs.size(self.path(name)) or 0)

    def modified(self, name: str) -> datetime | None:
        """Time when a file was written; None if the file system does not know."""
        with _faults(f"cannot reach {name} in {self.uri}"):
            try:
                at = self.fs.modified(self.path(name))
            except NotImplementedError:
                return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def remove(self, name: str) -> None:
        """Remove a file, if it still exists."""
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
            StorageError: if that fails.
        """
        name = f".probe-{uuid.uuid4().hex}"
        file = self.put(name, os.urandom(_PROBE_BYTES))
        try:
            self.fetch(file)
        finally:
            self.remove(name)


@contextmanager
def scratch() -> Iterator[Store]:
    """A store in this process's memory, removed at the end of the block.

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


def reason(fault: BaseException) -> str:
    """What an exception says, without error numbers and the names of temporary files.

    Example:
        >>> reason(OSError(28, "No space left on device", "/x/.7f3a.part")), reason(TimeoutError())
        ('No space left on device', 'TimeoutError')
    """
    return (isinstance(fault, OSError) and fault.strerror) or str(fault) or type(fault).__name__


@contextmanager
def _faults(what: str, remedy: str = "") -> Iterator[None]:
    """Turn any exception into a StorageError: file systems raise many kinds, not only OSError."""
    try:
        yield
    except StorageError:
        raise
    except Exception as fault:
        kind = ArtifactError if isinstance(fault, FileNotFoundError) else StorageError
        text = reason(fault)
        shown = secrets.mask(text)
        # a traceback would print the password in the cause
        raise kind(f"{what}: {shown}{remedy}") from (fault if shown == text else None)


def _sync(folder: str) -> None:
    """Flush a folder's entries to the disk, if the system supports it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def storage_options(uri: str, patient: bool = True) -> dict[str, Any]:
    """Options for opening the file system, besides the user's settings (fsspec's configuration, AWS_* variables)."""
    from fsspec.config import conf
    from fsspec.utils import get_protocol

    protocol = get_protocol(uri)
    if protocol not in ("s3", "s3a"):
        return {}
    retries = {"mode": "legacy", "max_attempts": _RETRIES if patient else _FEW_RETRIES}
    return {"config_kwargs": {"retries": retries, **conf.get(protocol, {}).get("config_kwargs", {})}}
