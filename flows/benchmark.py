"""The flow `benchmark`: one task per image and region, one report."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pandas as pd
from prefect import flow
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import runners
from flows.config import BenchmarkConfig
from flows.walk import Fanout, Walk
from mkgan_core import datasets, gallery, image_properties, images, method, pipeline, report, sample
from mkgan_core.datasets import ImageSpec
from mkgan_core.errors import MkganError
from mkgan_core.method import Method
from mkgan_core.report import Result
from mkgan_core.storage import Store, content_key

PROGRESS_EVERY_S = 5
SHEET_ROWS = 24  # images on the contact sheet

# a terminal's progress line: called with finished steps, cached ones among them, and submitted steps
on_progress: ContextVar[Callable[[int, int, int], None] | None] = ContextVar("on_progress", default=None)


def plan(config: BenchmarkConfig) -> tuple[list[ImageSpec], list[Method]]:
    """Check everything a run needs before anything starts.

    Raises:
        MkganError: with what is wrong, where, and what to do.
    """
    methods = [method.parse(name) for name in config.methods]
    runners.check(config)
    Store(config.store, patient=False).check_writable()
    store = Store(config.store)
    dataset = (
        sample.open_sample(config.dataset, store)
        if config.dataset in sample.NAMES
        else datasets.Dataset(config.dataset)
    )
    specs = dataset.plan(config.scale, config.images, config.limit)
    for chosen in methods:
        method.check_ready("segmenter", chosen.segmenter)
    for spec in specs:
        for chosen in methods:
            method.check_size(chosen, spec.image, spec.shape)
    return specs, methods


def run_id(config: BenchmarkConfig, flow_run_id: str) -> str:
    """Name of a run's folder in the store; the same again when the flow run is retried."""
    return f"{slug(config)}-{config.preset}-{flow_run_id[:8]}"


def slug(config: BenchmarkConfig) -> str:
    """Data set and scale in the letters that Prefect allows in an artifact's key."""
    tail = config.dataset.rstrip("/").rsplit("/", 1)[-1].lower()
    return re.sub(r"[^a-z0-9]+", "-", f"{tail}-x{config.scale}").strip("-")


@flow(name="benchmark", flow_run_name="benchmark {config.dataset} x{config.scale} {config.preset}")
def benchmark(config: BenchmarkConfig) -> State:
    """Run every method on every image and report.

    Returns:
        The run's state: failed, with a count, if a step did.
    """
    specs, methods = plan(config)
    store = Store(config.store)
    started = datetime.now(UTC)
    progress = _Progress()
    fanout, results = Fanout(progress.step), []
    progress.fanout = fanout
    common = {"store": store.uri, "preset": config.preset, "device": config.device}
    seeds = range(config.seed, config.seed + config.seeds)
    with runners.running(config):
        for spec in specs:
            Walk(fanout, spec, methods, seeds, common, results)
        fanout.drain()
    progress.close()

    this_run = run_id(config, str(flow_run.id))
    order = {name: position for position, name in enumerate([*config.methods, *(s.image for s in specs)])}
    results.sort(key=lambda r: (order[r.spec.image], order[r.method.name], r.seed))
    image_rows, region_rows = [], []
    for result in results:
        row, parts = report.rows(result, this_run, config.preset, started)
        image_rows.append(row)
        region_rows.extend(parts)
    store.write(report.run_uri(store, this_run, "contact-sheet.png"), _sheet(store, results))
    picture_rows = [image_properties.row(spec, this_run, _describe(spec, common)) for spec in specs]
    uri = report.write(store, this_run, image_rows, region_rows, picture_rows)
    table = report.comparison(report.read(uri, config.store))
    create_table_artifact(
        key=f"comparison-{slug(config)}", table=_plain(table), description=f"Means per method. Report: {uri}"
    )
    failed = sum(error is not None for _, error in fanout.finished.values())
    if failed:
        return Failed(message=f"{failed} of {len(fanout.finished)} steps failed; report: {uri}")
    return Completed(message=f"{len(fanout.finished)} steps; report: {uri}")


def _describe(spec: ImageSpec, common: dict[str, str]) -> pipeline.Record:
    """What the image is like; nothing where it cannot be read any more, which is no reason to lose the report."""
    try:
        return pipeline.run(image_properties.DescribeJob(spec, **common))
    except MkganError:
        return {}


class _Progress:
    """Counts finished steps, for the terminal and for the UI."""

    def __init__(self) -> None:
        self.listener = on_progress.get()
        self.fanout: Fanout | None = None
        self.done = self.cached = 0
        self.shown = time.monotonic()
        made = create_progress_artifact(progress=0.0, key="progress", description="steps of this run")
        self.artifact = cast(UUID, made)  # a coroutine only in async flows

    def step(self, state: str, completed: bool) -> None:
        """One more step has finished, in a state of this name."""
        self.done += 1
        self.cached += state == "Cached"
        total = self.fanout.submitted if self.fanout else 1
        if self.listener:
            self.listener(self.done, self.cached, total)
        if time.monotonic() - self.shown > PROGRESS_EVERY_S:  # each update is a call to the server
            self.shown = time.monotonic()
            update_progress_artifact(self.artifact, progress=100 * self.done / total)

    def close(self) -> None:
        update_progress_artifact(self.artifact, progress=100.0)


def _sheet(store: Store, results: Sequence[Result]) -> bytes:
    """A detail of each image by each method with the first seed, the truth last; the same results share one sheet."""
    by_image: dict[str, dict[str, Result]] = {}
    for result in results:
        if result.composed:
            by_image.setdefault(result.spec.image, {}).setdefault(result.method.name, result)
    chosen = dict(list(by_image.items())[:SHEET_ROWS])
    shown = [r for group in chosen.values() for r in group.values() if r.composed]
    columns = [*dict.fromkeys(result.method.name for result in results), "truth"]
    key = content_key({"columns": columns, "cells": [[r.method.name, r.composed["key"]] for r in shown if r.composed]})
    name = f"artifacts/sheet/{key[:2]}/{key}.png"
    if store.exists(name):
        return store.read(name)

    def rows() -> Iterator[tuple[str, dict[str, images.Image]]]:
        for image, group in chosen.items():
            made = {m: r.composed["output_uri"] for m, r in group.items() if r.composed}
            pictures = {method: images.decode(store.read(uri), uri) for method, uri in made.items()}
            yield image, {**pictures, "truth": datasets.load_high(next(iter(group.values())).spec)}

    captions = {
        (r.spec.image, r.method.name): f"{r.composed['psnr_y']:.2f} dB"
        for r in shown
        if r.composed and r.composed.get("psnr_y") is not None
    }
    sheet = gallery.contact_sheet(rows(), columns, captions)
    store.write(name, sheet)
    return sheet


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows that the UI can show: Python numbers, None for what is missing or infinite."""
    rounded = table.round(4).astype(object)
    finite = ~table.isin([float("inf"), float("-inf")]) & table.notna()
    return rounded.where(finite, None).to_dict("records")
