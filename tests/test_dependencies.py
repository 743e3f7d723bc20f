"""What works without any extra: what is imported is declared, and the commands say what they lack."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mkgan_core.pipeline import parts
from mkgan_core.pipeline.parts import Kind

ROOT = Path(__file__).parent.parent
KINDS: tuple[Kind, ...] = ("segmenter", "estimator", "upscaler")
# packages called otherwise when they are imported; aiohttp comes with fsspec[http]
NAMES = {"PIL": "pillow", "skimage": "scikit-image", "cv2": "opencv-python", "aiohttp": "fsspec"}
# modules that only the extra `pipeline` makes usable
PIPELINE = {*(ROOT / "mkgan_core" / "reports").glob("*.py")} - {ROOT / "mkgan_core" / "reports" / "photo_page.py"}
PIPELINE |= {
    ROOT / "flows" / "cli" / f"{name}.py" for name in ("benchmark", "model_options", "operate", "reports", "run")
}

# the command as it is where the extra `pipeline` is not installed
BARE = """
import sys
for name in ("prefect", "pandas", "pyarrow", "matplotlib", "fastapi", "sqlalchemy", "yaml"):
    sys.modules[name] = None
from flows.cli.main import main
main()
"""


def imported(file: Path) -> set[str]:
    """Packages that a module imports, anywhere in it, but for annotations."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    nodes = list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names}


def test_the_base_installation_has_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[\[<>=]", entry)[0].replace("_", "-").lower() for entry in project["dependencies"]}
    classes = [parts.part_class(kind, name) for kind in KINDS for name in parts.names(kind)]
    optional = {package for part in classes for package in part.packages}
    ours = {"mkgan_core", "flows", "deployments"}
    files = {*(ROOT / "mkgan_core").rglob("*.py"), *(ROOT / "flows" / "cli").glob("*.py")} - PIPELINE
    missing = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        for name in imported(file) - sys.stdlib_module_names - ours - optional
        if NAMES.get(name, name).lower().replace("_", "-") not in declared
    }
    assert missing == set()


@pytest.mark.parametrize("command", ["benchmark --dataset sample", "serve --help", "report x", "doctor"])
def test_a_command_that_lacks_the_pipeline_says_so_in_a_line(command: str) -> None:
    done = subprocess.run([sys.executable, "-c", BARE, *command.split()], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "mkgan[pipeline]" in done.stderr


@pytest.mark.parametrize("command", ["--help", "methods", "weights list"])
def test_the_other_commands_do_without(command: str) -> None:
    done = subprocess.run([sys.executable, "-c", BARE, *command.split()], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
