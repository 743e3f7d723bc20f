"""The flow `upscale`: images that are no data set, enlarged by the same steps as a benchmark's."""

from __future__ import annotations

import posixpath

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import runners
from flows.config import UpscaleConfig
from flows.fanout import Fanout
from flows.names import current_config
from mkgan_core.datasets.layout import ImageSpec, describe_image
from mkgan_core.errors import ConfigError
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.method import Method, check_single_image, check_size, parse
from mkgan_core.pipeline.walk import Common, enlarge


def plan(config: UpscaleConfig) -> tuple[list[ImageSpec], Method]:
    """Check everything before anything starts.

    Raises:
        MkganError: with what is wrong, where, and what to do.
    """
    method = parse(config.method)
    runners.check(config)
    check_single_image(method)
    specs = [describe_image(uri, config.scale) for uri in dict.fromkeys(config.images)]
    names = [spec.image for spec in specs]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two images are called {double}, and so would be their results; enlarge one at a time")
    for spec in specs:
        check_size(method, spec.image, spec.shape)
    return specs, method


def run_name() -> str:
    """What the run does, as a sentence."""
    config = current_config(UpscaleConfig)
    what = posixpath.basename(config.images[0]) if len(config.images) == 1 else f"{len(config.images)} images"
    return f"enlarge {what} x{config.scale} by {config.method}"


@flow(name="upscale", flow_run_name=run_name)
def upscale(config: UpscaleConfig) -> State:
    """Enlarge images; writes <name>_x<scale>.png.

    Returns:
        The run's state: failed, with a count, if a step did.
    """
    specs, method = plan(config)
    store = Store(config.store)
    out = Store(config.out or store.uri_of("upscaled"))
    out.check_writable()
    fanout = Fanout(lambda state, submitted: None, runners.places(config))
    common: Common = {"store": store.uri, "preset": config.preset, "device": config.device}
    with runners.running(config):
        results = fanout.run([enlarge(spec, method, config.seed, common) for spec in specs])
    written = []
    for result in results:
        place = None
        if result.composed:
            image = store.read(result.composed["output_uri"])
            place = out.write(f"{result.spec.image}_x{config.scale}.png", image)
        notes = "; ".join(result.notes) or None
        written.append({"image": result.spec.low.uri, "enlarged": place, "error": result.error, "notes": notes})
    create_table_artifact(key="upscaled", table=written, description=f"Enlarged x{config.scale} by {config.method}")
    if failed := sum(row["enlarged"] is None for row in written):
        return Failed(message=f"{failed} of {len(written)} images failed: see the artifact `upscaled`")
    return Completed(message=f"{len(written)} images in {out.uri}")
