"""The flow `upscale`: enlarges images outside any data set, by the same steps as a benchmark."""

from __future__ import annotations

import posixpath
from functools import partial

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from flows import runners
from flows.artifacts import code, escaped, linked
from flows.config import UpscaleConfig
from flows.fanout import STOPPED, Fanout
from flows.names import current_config
from flows.patience import patiently
from flows.progress import only_shown
from mkgan_core.errors import ConfigError
from mkgan_core.imaging import images
from mkgan_core.imaging.encoders import encode
from mkgan_core.machine.progress import Stopped
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.method import Method, check_single_image, parse
from mkgan_core.pipeline.photo import Photo, describe
from mkgan_core.pipeline.records import ScoreRecord
from mkgan_core.pipeline.walk import Common, enlarge


def plan(config: UpscaleConfig, store: Store) -> tuple[list[Photo], Method]:
    """Check everything before anything starts.

    Args:
        config: of the run.
        store: for pixels that differ from those of the files, such as colours without transparency.

    Raises:
        MkganError: with what is wrong, where, and what to do.
    """
    method = parse(config.method)
    runners.check(config)
    check_single_image(method)
    photos = [describe(uri, config.scale, (), store) for uri in dict.fromkeys(config.images)]
    names = [photo.spec.image for photo in photos]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two images are called {double}, and so would be their results; enlarge one at a time")
    return photos, method


def _write(out: Store, store: Store, photo: Photo, composed: ScoreRecord) -> str:
    """Write the enlargement of an image; return its URI."""
    picture = photo.finish(images.decode_raw(store.fetch(composed["output"])))
    return out.write(f"{photo.spec.image}_x{photo.spec.scale}.png", encode(picture))


def _cells(row: dict[str, str | None], store: Store) -> dict[str, str | None]:
    """A row of the UI's table as Markdown, with a link to the enlarged image if browsers can reach the store."""
    cells = {name: text and escaped(text) for name, text in row.items()}
    place = row["enlarged"]
    if place:
        cells["enlarged"] = linked(store, place) if place.startswith(f"{store.uri}/") else code(place)
    return cells


def run_name() -> str:
    """A sentence that says what the run does."""
    config = current_config(UpscaleConfig)
    what = posixpath.basename(config.images[0]) if len(config.images) == 1 else f"{len(config.images)} images"
    return f"enlarge {what} x{config.scale} by {config.method}"


@flow(name="upscale", flow_run_name=run_name)
def upscale(config: UpscaleConfig) -> State:
    """Enlarge images; writes <name>_x<scale>.png, with the properties of the image that came in.

    An image that is too small for a part of the method is enlarged by the next best (`Method.fitting`).

    Returns:
        The run's state: failed, with a count, if a step did.
    """
    store = Store(config.store)
    photos, method = patiently(lambda: plan(config, store))
    out = Store(config.out or store.uri_of("upscaled"))
    out.check_writable()
    fanout = Fanout(lambda state, seconds: None, runners.places(config))
    common: Common = {"store": store.uri, "preset": config.preset, "device": config.device}
    fitted = [method.fitting(photo.spec.shape) for photo in photos]
    try:
        with runners.running(config):
            walks = [
                enlarge(photo.spec, fits, config.seed, common) for photo, (fits, _) in zip(photos, fitted, strict=True)
            ]
            results = fanout.run(walks)
    except Stopped:
        return Cancelled(message=STOPPED)
    written = []
    for photo, (_, replaced), result, uri in zip(photos, fitted, results, dict.fromkeys(config.images), strict=True):
        place = None
        if result.composed:
            place = patiently(partial(_write, out, store, photo, result.composed))
        notes = "; ".join([*photo.notes, *replaced, *result.notes]) or None
        written.append({"image": uri, "enlarged": place, "error": result.error, "notes": notes})
    with only_shown("table"):
        about = escaped(f"Enlarged x{config.scale} by {config.method}")
        create_table_artifact(key="upscaled", table=[_cells(row, store) for row in written], description=about)
    if failed := sum(row["enlarged"] is None for row in written):
        return Failed(message=f"{failed} of {len(written)} images failed: see the artifact `upscaled`")
    return Completed(message=f"{len(written)} image{'s' if len(written) != 1 else ''} in {out.uri}")
