"""The flow `benchmark`: one task per image and region, one report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import artifacts, runners
from flows.config import BenchmarkConfig
from flows.names import RUN_FILE, run_id, sentence, slug
from flows.progress import Progress, only_shown
from flows.walk import Fanout, Walk
from mkgan_core import datasets, gallery, image_properties, jobs, method, report, runs, sample
from mkgan_core.datasets import ImageSpec
from mkgan_core.errors import MkganError
from mkgan_core.method import Method
from mkgan_core.storage import Store


def plan(config: BenchmarkConfig, *, patient: bool = True) -> tuple[list[ImageSpec], list[Method]]:
    """Check everything a run needs before anything starts.

    Args:
        config: what to run.
        patient: wait a minute for a store that does not answer, as nobody waits for a scheduled run.

    Raises:
        MkganError: with what is wrong, where, and what to do.
    """
    methods = [method.parse(name) for name in config.methods]
    runners.check(config)
    Store(config.store, patient=patient).check_writable()
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


def run_name() -> str:
    """What the run does, as a sentence."""
    config: Any = flow_run.parameters["config"]
    return sentence(config if isinstance(config, BenchmarkConfig) else BenchmarkConfig(**config))


@flow(name="benchmark", flow_run_name=run_name)
def benchmark(config: BenchmarkConfig) -> State:
    """Run every method on every image and report.

    Returns:
        The run's state: failed, with a count, if a step did.
    """
    specs, methods = plan(config)
    store, this_run = Store(config.store), run_id(config, str(flow_run.id))
    # first: a run that breaks down can be retried by its name too
    facts = {"flow_run_id": str(flow_run.id), "config": config.model_dump(mode="json")}
    store.write_json(report.run_uri(store, this_run, RUN_FILE), facts)
    started = datetime.now(UTC)
    progress = Progress(slug(config))
    fanout, results = Fanout(progress.step, runners.places(config)), []
    progress.fanout = fanout
    common = {"store": store.uri, "preset": config.preset, "device": config.device}
    seeds = range(config.seed, config.seed + config.seeds)
    with runners.running(config):
        for spec in specs:
            Walk(fanout, spec, methods, seeds, common, results)
        fanout.drain()
    progress.close()

    order = {name: position for position, name in enumerate([*config.methods, *(s.image for s in specs)])}
    results.sort(key=lambda r: (order[r.spec.image], order[r.method.name], r.seed))
    image_rows, region_rows = [], []
    for result in results:
        row, parts = report.rows(result, this_run, config.preset, started)
        image_rows.append(row)
        region_rows.extend(parts)
    sheet = gallery.sheet_of(results, store)
    store.write(report.run_uri(store, this_run, "contact-sheet.png"), sheet)
    picture_rows = [image_properties.row(spec, this_run, _describe(spec, common)) for spec in specs]
    uri = report.write(store, this_run, image_rows, region_rows, picture_rows)
    with only_shown("artifacts"):
        artifacts.publish(runs.open_run(uri, config.store), config, sheet)
    failed = sum(error is not None for _, error in fanout.finished.values())
    if failed:
        rows = sum(row["status"] != "ok" for row in image_rows)
        what = f"{failed} of {len(fanout.finished)} steps failed, and with them {rows} of {len(image_rows)} rows"
        return Failed(message=f"{what}; retry runs only these again; report: {uri}")
    return Completed(message=f"{len(fanout.finished)} steps; report: {uri}")


def _describe(spec: ImageSpec, common: dict[str, str]) -> jobs.Record:
    """What the image is like; nothing where it cannot be read any more, which is no reason to lose the report."""
    try:
        return jobs.run(image_properties.DescribeJob(spec, **common))
    except MkganError:
        return {}
