"""Where results go: gives every result a unique name, and never overwrites a file without being told to."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.cli.inputs import Input
from mkgan_core.datasets.file_names import check_name
from mkgan_core.errors import ConfigError, StorageError
from mkgan_core.imaging.encoders import SUFFIXES, Format, format_of
from mkgan_core.machine.secrets import hide, mask
from mkgan_core.machine.storage import Store, reason


@dataclass(frozen=True)
class Folder:
    """A writable folder or URL for results.

    Attributes:
        given: the path or URL as the user typed it.
        store: access to its files.
    """

    given: str
    store: Store

    def shown(self, name: str) -> str:
        """The path or URL of a file in it, as the user would type it."""
        return self.store.uri_of(name) if "://" in self.given else posixpath.join(self.given, name)

    def check_writable(self) -> None:
        """Check that files can be written; creates the folder.

        Raises:
            StorageError: if they cannot.
        """
        if self.store.local and os.path.lexists(self.store.root) and not os.path.isdir(self.store.root):
            raise StorageError(
                f"cannot write into {hide(self.given)}: it is not a folder; choose another {self.store.option}"
            )
        try:
            self.store.check_writable()
        except StorageError as fault:
            why = mask(reason(fault.__cause__ or fault))
            raise StorageError(
                f"cannot write to {hide(self.given)} ({why}); choose another {self.store.option}"
            ) from fault

    def save(self, files: Sequence[tuple[str, bytes]], policy: Policy) -> list[str]:
        """Write files, given by name and content; return their paths or URLs as the user would type them.

        Raises:
            ConfigError: before the first is written, if one exists that the policy does not replace.
        """
        if not (policy.overwrite or policy.skip_existing):
            _refuse_existing([self.shown(name) for name, _ in files if self.store.exists(name)])
        for name, data in files:
            self.store.write(name, data)
        return [self.shown(name) for name, _ in files]


@dataclass(frozen=True)
class Target:
    """An input and the names of its results.

    Attributes:
        source: the input.
        stem: prefix of the results' names, subfolders included.
        present: the results that exist and will be kept.
    """

    source: Input
    stem: str
    present: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """What to do with results that exist already; by default they are an error, before any work starts."""

    overwrite: bool = False
    skip_existing: bool = False

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise ConfigError("--overwrite and --skip-existing exclude each other; give only one of them")


def folder_at(given: str, option: str = "--out") -> Folder:
    """The folder for results at a path or URL.

    Raises:
        ConfigError: for an empty name.
        DatasetError: for a name that a terminal cannot show on one line.
    """
    check_name(hide(given))
    if not given:
        raise ConfigError(f"{option} is empty; give a folder or URL")
    place = given if "://" in given else os.path.expanduser(given)
    return Folder(given, Store(place, patient=False, option=option))


def targets(
    inputs: Sequence[Input], folder: Folder, results: Callable[[str], Sequence[str]], policy: Policy
) -> list[Target]:
    """Plan the names of all results, and check them before any work starts.

    Args:
        inputs: the images.
        folder: for the results.
        results: a stem -> the names of the results that it may have.
        policy: for results that exist already.

    Raises:
        ConfigError: if a result exists and the policy neither replaces nor skips it, if a result would replace an
            input, or if a folder has its name.
    """
    names = {one.uri: results(stem) for one, stem in zip(inputs, stems(inputs), strict=True)}
    sources = {_identity(one.uri): one for one in inputs}
    planned, blocked = [], []
    for one, stem in zip(inputs, stems(inputs), strict=True):
        present = tuple(name for name in names[one.uri] if folder.store.exists(name))
        for name in present:
            if folder.store.fs.isdir(folder.store.path(name)):
                raise ConfigError(f"cannot write the result {folder.shown(name)}: it is a folder; change --out or -o")
            if hit := sources.get(_identity(folder.store.fs.unstrip_protocol(folder.store.path(name)))):
                raise ConfigError(f"the result of {one.address} would replace the input {hit.address}; change --out")
        blocked += [folder.shown(name) for name in present]
        planned.append(Target(one, stem, present if policy.skip_existing else ()))
    if not (policy.overwrite or policy.skip_existing):
        _refuse_existing(blocked)
    return planned


def _refuse_existing(names: Sequence[str]) -> None:
    if names:
        others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise ConfigError(f"{names[0]} exists{others}; add --overwrite to replace it, or --skip-existing to keep it")


def picture_format(output: str | None, wanted: str | None, quality: int | None) -> Format:
    """The format of the results: that of ``-o``, else that of ``--format``, else PNG.

    Raises:
        ConfigError: if they are unknown or contradict each other.
        DatasetError: for a name that a terminal cannot show on one line.

    Example:
        >>> picture_format("large.JPG", None, 90), picture_format(None, "webp", None), picture_format(None, None, None)
        ('jpg', 'webp', 'png')
    """
    check_name(hide(output or ""))
    try:
        given = None if output is None else format_of(output)
    except ConfigError as fault:
        raise ConfigError(f"-o {output}: {fault}") from fault
    chosen = SUFFIXES.get(f".{wanted.lower()}") if wanted else given or "png"
    if chosen is None:
        raise ConfigError(f"--format {wanted}: choose {', '.join(dict.fromkeys(SUFFIXES.values()))}")
    if given and given != chosen:
        raise ConfigError(f"-o {output} and --format {wanted} contradict each other; leave out --format")
    if quality is not None and chosen not in ("jpg", "webp"):
        raise ConfigError(f"--quality {quality}: {chosen} files have no quality setting; choose --format jpg or webp")
    return chosen


def stems(inputs: Sequence[Input]) -> list[str]:
    """A prefix for each input's results, unique even on file systems that ignore case.

    It is the input's name without the suffix. If two inputs share that name, it includes the suffix; if that is not
    enough, also the folder.

    Example:
        >>> stems([Input(name, f"file:///{name}") for name in ("a.jpg", "a.png", "x/b.png", "y/b.png", "c.png")])
        ['a_jpg', 'a_png', 'x/b', 'y/b', 'c']
    """
    paths = [one.uri.split("://", 1)[-1].lstrip("/") for one in inputs]
    top = posixpath.commonpath([posixpath.dirname(path) for path in paths]) if paths else ""
    levels = [0] * len(inputs)
    while True:
        names = [_stem(one, level, top) for one, level in zip(inputs, levels, strict=True)]
        counts = Counter(map(str.casefold, names))
        doubles = [number for number, name in enumerate(names) if counts[name.casefold()] > 1 and levels[number] < 3]
        if not doubles:
            return _numbered(names)
        for number in doubles:
            levels[number] += 1


def _stem(one: Input, level: int, top: str) -> str:
    folder = one.below
    if level >= 2:
        folder = posixpath.dirname(one.uri.split("://", 1)[-1].lstrip("/")).removeprefix(top).lstrip("/")
    name = f"{one.stem}_{one.suffix}" if level in (1, 3) and one.suffix else one.stem
    return posixpath.join(folder, name)


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, with a number added where they differ only in case."""
    found: dict[str, str] = {}
    for name in names:
        unique, number = name, 1
        while unique.casefold() in found:
            number += 1
            unique = f"{name}_{number}"
        found[unique.casefold()] = unique
    return list(found.values())


def _identity(uri: str) -> object:
    """Identifies a file regardless of links and spelling: its device and inode, or its URI."""
    if uri.startswith("file://"):
        try:
            status = os.stat(uri.removeprefix("file://"))
        except OSError:
            return uri
        return status.st_dev, status.st_ino
    return uri
