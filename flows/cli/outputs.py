"""Where results go: names that are unique, and nothing is overwritten that was not meant to be."""

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
from mkgan_core.machine.storage import Store


@dataclass(frozen=True)
class Folder:
    """A writable folder or URL for results.

    Attributes:
        given: how the person calls it.
        store: what is there.
    """

    given: str
    store: Store

    def shown(self, name: str) -> str:
        """A file in it as the person would write it: a path, or a URL."""
        return self.store.uri_of(name) if "://" in self.given else posixpath.join(self.given, name)


@dataclass(frozen=True)
class Target:
    """What becomes of an input.

    Attributes:
        source: the input.
        stem: what the names of its results begin with; subfolders included.
        present: those results that exist already and are to be kept.
    """

    source: Input
    stem: str
    present: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """What to do with results that exist already: by default nothing is started."""

    overwrite: bool = False
    skip_existing: bool = False

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise ConfigError("--overwrite and --skip-existing: give one of them")


def split(file: str) -> tuple[str, str]:
    """The folder and the name of a file that is given by path or URL.

    Example:
        >>> split("large.png"), split("a/b/large.png"), split("memory://large.png")
        (('.', 'large.png'), ('a/b', 'large.png'), ('memory://', 'large.png'))
    """
    folder, _, name = file.rpartition("/")
    if folder.endswith(":/") or not folder:  # nothing but a protocol, or a root
        return file[: -len(name)] or ".", name
    return folder, name


def open_folder(given: str) -> Folder:
    """A folder that can be written.

    Raises:
        StorageError: if it cannot.
        DatasetError: for a name that a terminal cannot show in one line.
    """
    check_name(hide(given))
    store = Store(given if "://" in given else os.path.expanduser(given), patient=False)
    try:
        store.check_writable()
    except StorageError as fault:
        why = mask(str(fault.__cause__ or fault))
        raise StorageError(f"cannot write to {hide(given)} ({why}); choose another folder with --out") from fault
    return Folder(given, store)


def targets(
    inputs: Sequence[Input], folder: Folder, results: Callable[[str], Sequence[str]], policy: Policy
) -> list[Target]:
    """What becomes of the inputs; everything that can be checked before work starts is checked.

    Args:
        inputs: the images.
        folder: for the results.
        results: a stem -> the names of the results that may come of it.
        policy: for results that exist already.

    Raises:
        ConfigError: if a result exists already and is to be neither replaced nor left, or would replace an input, or a
            folder is in its place.
    """
    names = {one.uri: results(stem) for one, stem in zip(inputs, stems(inputs), strict=True)}
    sources = {_identity(one.uri): one for one in inputs}
    planned, blocked = [], []
    for one, stem in zip(inputs, stems(inputs), strict=True):
        present = tuple(name for name in names[one.uri] if folder.store.exists(name))
        for name in present:
            if folder.store.fs.isdir(folder.store.path(name)):
                raise ConfigError(f"{folder.shown(name)}, where a result belongs, is a folder; change --out or -o")
            if hit := sources.get(_identity(folder.store.fs.unstrip_protocol(folder.store.path(name)))):
                raise ConfigError(f"the result of {one.address} would replace the input {hit.address}; change --out")
        blocked += [folder.shown(name) for name in present]
        planned.append(Target(one, stem, present if policy.skip_existing else ()))
    if blocked and not (policy.overwrite or policy.skip_existing):
        others = f" (and {len(blocked) - 1} more)" if len(blocked) > 1 else ""
        raise ConfigError(
            f"{blocked[0]} exists{others}; replace it with --overwrite, or leave it and go on with --skip-existing"
        )
    return planned


def picture_format(output: str | None, wanted: str | None, quality: int | None) -> Format:
    """The format that results are written in: that of ``-o``, else that of ``--format``, else PNG.

    Raises:
        ConfigError: if they are unknown or contradict each other.

    Example:
        >>> picture_format("large.JPG", None, 90), picture_format(None, "webp", None), picture_format(None, None, None)
        ('jpg', 'webp', 'png')
    """
    try:
        given = format_of(output) if output else None
    except ConfigError as fault:
        raise ConfigError(f"-o {output}: {fault}") from fault
    chosen = SUFFIXES.get(f".{wanted.lower()}") if wanted else given or "png"
    if chosen is None:
        raise ConfigError(f"--format {wanted}: choose {', '.join(dict.fromkeys(SUFFIXES.values()))}")
    if given and given != chosen:
        raise ConfigError(f"-o {output} and --format {wanted} contradict each other; leave --format out")
    if quality is not None and chosen not in ("jpg", "webp"):
        raise ConfigError(f"--quality {quality}: {chosen} has none; choose --format jpg or webp")
    return chosen


def stems(inputs: Sequence[Input]) -> list[str]:
    """What the names of each input's results begin with; no two the same, also where case does not count.

    An input's own name without its suffix; with it where two would be the same; if that does not help, with its folder.

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
    """The names, numbered where they are the same but for case."""
    found: dict[str, str] = {}
    for name in names:
        unique, number = name, 1
        while unique.casefold() in found:
            number += 1
            unique = f"{name}_{number}"
        found[unique.casefold()] = unique
    return list(found.values())


def _identity(uri: str) -> object:
    """What tells a file from others, by whatever link or spelling it was named."""
    if uri.startswith("file://"):
        try:
            status = os.stat(uri.removeprefix("file://"))
        except OSError:
            return uri
        return status.st_dev, status.st_ino
    return uri
