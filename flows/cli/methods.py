"""`mkgan methods`."""

from __future__ import annotations

from flows.cli.terminal import make_console
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.method import DEFAULT_METHODS
from mkgan_core.pipeline.parts import Kind

KINDS: tuple[Kind, ...] = ("segmenter", "estimator", "upscaler")


def methods() -> None:
    """List the parts that methods are made of, and the named methods."""
    console = make_console()
    for kind in KINDS:
        console.print(f"{kind}s: {', '.join(parts.names(kind))}")
    console.print("presets: " + ", ".join(parts.PRESETS))
    console.print(f"auto segmenter (multi-...): {parts.resolve_auto()}")
    if lacking := [name for kind in KINDS for name in parts.names(kind) if parts.missing_requirement(kind, name)]:
        console.print(f"lack weights or a package, and say so when used: {', '.join(lacking)}")
    usage = "a method is [segmenter/][estimator+]upscaler; multi-X+Y is auto/X+Y. By default a benchmark runs:"
    console.print(usage, markup=False)
    for name in DEFAULT_METHODS:
        console.print(f"  {name}")
