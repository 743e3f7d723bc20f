"""The flow `benchmark`: every method on every image, and a report."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from flows import artifacts, runners
from flows.config import BenchmarkConfig
from flows.fanout import STOPPED, Fanout
from flows.names import current_config, run_id, sentence, slug
from flows.patience import patiently
from flows.progress import Progress, only_shown
from mkgan_core.datasets.layout import Dataset, ImageSpec
from mkgan_core.datasets.sample import NAMES, open_sample
from mkgan_core.errors import MkganError
from mkgan_core.machine.plain_text import one_line
from mkgan_core.machine.progress import Stopped
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import jobs
from mkgan_core.pipeline.method import Method, check_size, parse
from mkgan_core.pipeline.parts import check_ready
from mkgan_core.pipeline.records import DescribeRecord
from mkgan_core.pipeline.steps.describe import DescribeJob
from mkgan_core.pipeline.walk import Common, enlarge
from mkgan_core.reports import ranking
from mkgan_core.reports.contact_sheet import sheet_of
from mkgan_core.reports.image_rows import row as image_row
from mkgan_core.reports.rows import rows, write
from mkgan_core.reports.runs import ARTIFACTS, CONTACT_SHEET, RUN_FILE, RunFolder, open_run, read


def plan(config: BenchmarkConfig, *, patient: bool = True) -> tuple[list[ImageSpec], list[Method]]:
    """Check everything a run needs before anything starts.

    Args:
        config: what to run.
        patient: whether to retry for a minute if the store does not answer, as in a scheduled run.

    Raises:
        MkganError: with what is wrong, where, and what to do.
    """
    methods = [parse(name) for name in config.methods]
    runners.check(config)
    Store(config.store, patient=patient).check_writable()
    store = Store(config.store)
    dataset = open_sample(config.dataset, store) if config.dataset in NAMES else Dataset(config.dataset)
    specs = dataset.plan(config.scale, config.images, config.limit)
    for method in methods:
        for kind, name, _ in method.parts:
            check_ready(kind, name)
        for spec in specs:
            check_size(method, spec.image, spec.shape)
    return specs, methods


def run_name() -> str:
    """A sentence that says what the run does."""
    return sentence(current_config(BenchmarkConfig))


@flow(name="benchmark", flow_run_name=run_name)
def benchmark(config: BenchmarkConfig) -> State:
    """Run every method on every image and report.

    Returns:
        The run's state: failed, with a count, if a step did; cancelled if the work was stopped.
    """
    specs, methods = patiently(lambda: plan(config))
    store = Store(config.store)
    folder = RunFolder.of(run_id(config, str(flow_run.id)), store.uri)
    # first, so that a run that crashes later can be retried by its name too
    facts = {
        "flow_run_id": str(flow_run.id),
        "config": config.model_dump(mode="json"),
        "dataset_uri": specs[0].low.uri.rsplit("/", 2)[0],  # the option may be relative, or the name of a sample
    }
    patiently(lambda: folder.store.write_json(RUN_FILE, facts))
    started = datetime.now(UTC)
    common: Common = {"store": store.uri, "preset": config.preset, "device": config.device}
    seeds = range(config.seed, config.seed + config.seeds)
    wanted = [(spec, method, seed) for spec in specs for method in methods for seed in seeds]
    progress = Progress(folder.run_id, slug(config), [method.name for _, method, _ in wanted])
    fanout = Fanout(progress.step, runners.places(config))
    try:
        with runners.running(config):
            walks = [enlarge(spec, method, seed, common) for spec, method, seed in wanted]
            results = fanout.run(walks, progress.row)
    except Stopped:
        return Cancelled(message=STOPPED)
    progress.close()

    image_rows, region_rows = [], []
    for result in results:
        row, parts = rows(result, folder.run_id, config.preset, started, store)
        image_rows.append(row)
        region_rows.extend(parts)
    picture_rows = [image_row(spec, folder.run_id, _describe(spec, common)) for spec in specs]
    uri = write(folder, image_rows, region_rows, picture_rows, attempt=patiently)
    with only_shown("list of its artifacts"):
        described = [DescribeJob(spec, **common).record_name for spec in specs]
        folder.store.write_json(ARTIFACTS, fanout.records + described)
    sheet = None
    with only_shown("contact sheet"):
        about = f"{specs[0].dataset} x{config.scale}, preset {config.preset}"
        sheet = sheet_of(results, store, one_line(f"{about}: details; PSNR of luma over the whole image"))
        folder.store.write(CONTACT_SHEET, sheet)
    with only_shown("artifacts"):
        artifacts.publish(open_run(uri, config.store), config, sheet)
    result = ranking.headline(read(uri, config.store))
    if fanout.failed:
        lost = sum(row["status"] != "ok" for row in image_rows)
        what = f"{fanout.failed} of {fanout.submitted} steps failed, and with them {lost} of {len(image_rows)} rows"
        return Failed(message=f"{what}; retry runs only these again; {result}; report: {uri}")
    return Completed(message=f"{result}; {fanout.submitted} steps; report: {uri}")


def _describe(spec: ImageSpec, common: Common) -> DescribeRecord | None:
    """The properties of the image; None if it can no longer be read, so that the report is written anyway."""
    try:
        return patiently(lambda: jobs.run(DescribeJob(spec, **common)))
    except MkganError as fault:
        get_run_logger().warning("%s is not described: %s", spec.image, fault)
        return None
