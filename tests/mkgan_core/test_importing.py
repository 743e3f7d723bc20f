"""Large libraries are imported by one thread at a time, wherever a function imports them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOM = Path(__file__).parents[2] / "mkgan_core"
LARGE = {"scipy", "skimage", "torch", "torchvision", "cv2", "PIL", "tifffile", "pandas", "pyarrow", "matplotlib"}
OWN = "mkgan_core"  # those of our modules that are imported late, because they import such a library


def unguarded(node: ast.AST, *, late: bool = False) -> Iterator[ast.stmt]:
    """Imports of large libraries inside functions, and outside of `with importing`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.With) and any(ast.unparse(item.context_expr) == "importing" for item in child.items):
            continue
        if late and isinstance(child, ast.Import | ast.ImportFrom):
            name = child.names[0].name if isinstance(child, ast.Import) else child.module or ""
            if name.split(".")[0] in {*LARGE, OWN}:
                yield child
        yield from unguarded(child, late=late or isinstance(child, ast.FunctionDef))


def test_late_imports_are_guarded() -> None:
    found = {
        f"{path.relative_to(ROOM)}:{statement.lineno} {ast.unparse(statement)}"
        for path in ROOM.rglob("*.py")
        for statement in unguarded(ast.parse(path.read_text()))
    }
    assert found == set()
