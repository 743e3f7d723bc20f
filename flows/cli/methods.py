"""`mkgan methods`."""

from __future__ import annotations

from rich.table import Table

from flows.cli.terminal import make_console, print_line
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.method import DEFAULT_METHOD, DEFAULT_METHODS, NAMED_METHODS
from mkgan_core.pipeline.parts import Kind

KINDS: tuple[Kind, ...] = ("segmenter", "estimator", "upscaler")


def methods() -> None:
    """List the named methods with their purpose, and the parts of which you can make other methods."""
    console = make_console()
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, use in NAMED_METHODS.items():
        table.add_row(f"{'*' if name in DEFAULT_METHODS else ' '} {name}", use)
    console.print(table)
    print_line(console, f"* compared by `mkgan benchmark` by default; `mkgan upscale` uses {DEFAULT_METHOD}")
    print_line(console, "")
    print_line(console, "A method is [segmenter/][estimator+]upscaler; multi-X+Y is auto/X+Y. The parts:")
    for kind in KINDS:
        print_line(console, f"  {kind}s: {', '.join(parts.names(kind))}")
    print_line(console, f"  auto as a segmenter (multi-...) takes here: {parts.resolve_auto()}")
    print_line(console, f"  presets: {', '.join(parts.PRESETS)}")
    if lacking := [name for kind in KINDS for name in parts.names(kind) if parts.missing_requirement(kind, name)]:
        print_line(console, f"  need weights or a package first, and say which when used: {', '.join(lacking)}")
