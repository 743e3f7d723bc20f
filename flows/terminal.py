"""What the command line prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mkgan_core import report

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "images": ("images", "{:d}"),
    "failed": ("failed", "{:d}"),
    "psnr_y": ("PSNR Y", "{:.2f}"),
    "delta_psnr_y": ("vs bicubic", "{:+.2f}"),
    "ssim_y": ("SSIM Y", "{:.4f}"),
    "psnr_rgb": ("PSNR RGB", "{:.2f}"),
    "ssim_rgb": ("SSIM RGB", "{:.4f}"),
    "mse_rgb": ("MSE RGB", "{:.1f}"),
    "kernel_psnr": ("kernel PSNR", "{:.1f}"),
    "seconds_total": ("s/image", "{:.1f}"),
}


WIDE = 130  # columns of a terminal that shows the RGB scores too


def make_console() -> Console:
    """The terminal; output that goes to a file or pipe is not cut at 80 columns."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def print_comparison(rows: pd.DataFrame, console: Console) -> None:
    """The comparison table, then what a mean would hide: images behind bicubic, fallbacks, failures."""
    means = report.comparison(rows).to_dict("records")
    records = rows.to_dict("records")
    first = records[0]
    table = Table(title=f"{first['dataset']} x{first['scale']}, preset {first['preset']}, means over images and seeds")
    table.add_column("method", no_wrap=True)
    columns = {name: how for name, how in _COLUMNS.items() if console.width >= WIDE or "rgb" not in name}
    for heading, _ in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in means:
        cells = [_cell(row[name], form) for name, (_, form) in columns.items()]
        table.add_row(row["method"], *cells)
    console.print(table)
    for row in means:
        if row["behind_bicubic"]:
            console.print(f"{row['method']} is behind bicubic on: {row['behind_bicubic']}", style="yellow")
    resolved = {r["method"]: r["segmenter"] for r in records if r["method"].startswith(("multi-", "auto/"))}
    for name, segmenter in resolved.items():
        console.print(f"{name} used the segmenter {segmenter}")
    for row in records:
        if row["status"] != "ok":
            console.print(f"failed: {row['image']} {row['method']} seed {row['seed']}: {row['error']}", style="red")


def _cell(value: float | None, form: str) -> str:
    if value is None or value != value:
        return "-"
    return form.format(int(value) if form == "{:d}" else value)
