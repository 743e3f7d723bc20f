"""What the README and the pages of docs/ tell a reader to type: it runs, parses, or leads somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import typer
from PIL import Image

from flows.cli.app import app
from mkgan_core.imaging.images import to_uint8

ROOT = Path(__file__).parent.parent
README, QUICKSTART, OWN_PART = ROOT / "README.md", ROOT / "docs" / "quickstart.md", ROOT / "docs" / "own-part.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "deployments" / "README.md"])
TARGETS = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.M))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks, continued lines joined; of indented blocks those that call `mkgan`."""
    fenced = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    indented = re.findall(r"^    ((?:\S+=\S+ )*(?:\.venv/bin/)?mkgan .*)$", page.read_text(), re.M)
    return [line for line in fenced if line.strip() and not line.startswith("#")] + indented


def mkgan_arguments(command: str) -> list[list[str]]:
    """The arguments of each `mkgan` in a line; variables before it are left out."""
    plain = re.sub(r"\.\.\.|<[^>]*>", "", command)  # what a page leaves open
    words = [shlex.split(part, comments=True) for part in re.split(r"&&|;|\|", plain)]
    found = [[word for word in part if not re.match(r"[A-Z_0-9]+=", word)] for part in words]
    return [part[1:] for part in found if part and part[0] in ("mkgan", ".venv/bin/mkgan")]


def parse(arguments: list[str]) -> None:
    """Parse a command as `mkgan` would, and do not run it."""
    command: Any = typer.main.get_command(app)
    context = click.Context(command, info_name="mkgan")
    while hasattr(command, "commands"):
        if not arguments or arguments == ["--help"]:
            return
        name, *arguments = arguments
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    command.make_context(command.name, arguments, parent=context)


@pytest.fixture
def photograph(picture: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(to_uint8(picture[:64, :64])).save(path)
    return path


def test_the_readme_s_example_runs(monkeypatch: pytest.MonkeyPatch, photograph: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    photograph.rename(tmp_path / "examples" / "photo.png")
    monkeypatch.chdir(tmp_path)
    (example,) = blocks(README, "python")
    exec(example, {})
    assert Image.open("large.png").size == (128, 128)


@pytest.mark.parametrize("kind", ["path", "Pillow", "uint8", "float"])
def test_the_quickstart_s_example_runs_on_every_kind_of_image(photograph: Path, kind: str) -> None:
    pixels = np.asarray(Image.open(photograph))
    given = {"path": photograph, "Pillow": Image.open(photograph), "uint8": pixels, "float": pixels / 255}
    names = {"image": given[kind]}
    exec(blocks(QUICKSTART, "python")[0], names)
    large = names["large"]
    assert np.shape(large) == (128, 128, 3) if isinstance(large, np.ndarray) else large.size == (128, 128)
    assert isinstance(large, Image.Image if kind in ("path", "Pillow") else np.ndarray)


def test_a_part_of_ones_own(own_parts: None) -> None:
    names: dict[str, Any] = {"__name__": "a_notebook"}
    for _ in range(2):  # as in a notebook, where a cell is run again
        exec(blocks(OWN_PART, "python")[0], names)
    assert names["large"].shape == (80, 120, 3)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_parse(page: Path) -> None:
    for command in commands(page):
        for arguments in mkgan_arguments(command):
            try:
                parse(arguments)
            except click.UsageError as fault:
                pytest.fail(f"{page.name}: {command}: {fault.format_message()}")
        if made := re.match(r"make (\w+)", command):
            assert made[1] in TARGETS, command


@pytest.mark.parametrize("page", [README, QUICKSTART], ids=lambda page: page.name)
def test_commands_can_be_copied(page: Path) -> None:
    """A shell takes each line as it is: no [optional] part becomes a file's name, no <placeholder> a redirection."""
    for command in commands(page):
        assert not re.search(r"[\[<]|\.\.\.", re.sub(r"'[^']*'", "", command)), command
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_readme_s_files_are_there() -> None:
    words = [word for command in commands(README) for word in shlex.split(command)]
    files = [word for word in words if word.startswith("examples/")]
    assert files and all((ROOT / file).exists() for file in files)
    assert len(README.read_text().splitlines()) < 120


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), ROOT / "deployments" / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Of the files that are read where they are; the site's build checks those of docs/."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for target, anchor in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]+)?\)", text):
        file = page.parent / target
        assert file.exists(), f"{page.name} links to {target}"
        if anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.*?)(?: \{ *#([\w-]+) *\})?$", file.read_text(), re.M)
            ids = {
                given or re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title, given in headings
            }
            assert anchor[1:] in ids, f"{page.name} links to {target}{anchor}"
