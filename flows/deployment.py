"""What mkgan needs on a Prefect server: pool, queues, GPU slots, result storage, automations, deployments.

Everything is made where it is missing and left alone where it is there: doing it twice changes nothing, and what was
changed in the UI (a schedule switched off, another number of GPU slots) stays.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessWorker

from flows import automations
from flows.config import CHECKOUT
from mkgan_core import environment
from mkgan_core.errors import ConfigError
from mkgan_core.storage import Store, storage_options

POOL, TAG, RESULTS = "mkgan-gpu", "gpu", "mkgan-results"
QUEUES = {"interactive": 1, "scheduled": 10}  # priorities: what somebody waits for goes first
GPU_SLOTS = 16  # per GPU; kernels of so many regions are trained in one batch
PREFECT_FILE = CHECKOUT / "prefect.yaml"


@dataclass(frozen=True)
class Settings:
    """What the commands `serve` and `deploy` can be told.

    Attributes:
        div2krk: folder or URL of the DIV2KRK data set.
        store: where artifacts and Prefect's results go.
        gpu_slots: steps with the tag `gpu` that run at once, over all runs; None leaves what is set, or the default.
        notify_url: called when a run fails.
        zombie_after: seconds without a heartbeat after which a run counts as crashed.
    """

    div2krk: str
    store: str
    gpu_slots: int | None = None
    notify_url: str | None = None
    zombie_after: int = 300


def default_gpu_slots() -> int:
    """Steps that train at once where nothing else is said."""
    import torch

    return GPU_SLOTS * torch.cuda.device_count() if torch.cuda.is_available() else environment.cores()


def set_up(settings: Settings) -> list[str]:
    """Bring the configured server to what mkgan needs; returns what was changed, nothing if all was there.

    Raises:
        ConfigError: if the deployments cannot be made.
    """
    storage, changed = _results(settings.store)
    with get_client(sync_client=True) as client:
        changed += _pool(client, storage)
        changed += _slots(client, settings.gpu_slots)
        changed += automations.ensure(client, automations.wanted(settings.notify_url, settings.zombie_after))
        changed += _deployments(client, settings)
    return changed


def deployment_names() -> list[str]:
    """Names of the deployments in `prefect.yaml`.

    Raises:
        ConfigError: without the file.
    """
    try:
        return [entry["name"] for entry in yaml.safe_load(PREFECT_FILE.read_text())["deployments"]]
    except OSError as fault:
        raise ConfigError(f"no {PREFECT_FILE}: {fault.strerror}; run mkgan from a checkout of the project") from fault


def version(settings: Settings) -> str:
    """Names what the deployments are made of; the same version is not deployed again."""
    deployment_names()
    return hashlib.sha256(PREFECT_FILE.read_bytes() + settings.div2krk.encode()).hexdigest()[:12]


def _results(store: str) -> tuple[str, list[str]]:
    """The block in which Prefect keeps the tasks' results, beside the artifacts they point at."""
    place = Store(store)
    local = place.uri.startswith("file://")
    wanted: Any = LocalFileSystem if local else RemoteFileSystem
    basepath = place.path("prefect-results") if local else place.uri_of("prefect-results")
    slug = f"{wanted.get_block_type_slug()}/{RESULTS}"
    settings = {} if local else {"settings": storage_options(place.uri)}
    try:
        found = wanted.load(RESULTS)
        if found.basepath.rstrip("/") == basepath and (local or found.settings == settings["settings"]):
            return slug, []
    except ValueError:
        pass
    wanted(basepath=basepath, **settings).save(RESULTS, overwrite=True)
    return slug, [f"results of tasks go to {basepath}"]


def _pool(client: SyncPrefectClient, storage: str) -> list[str]:
    """The work pool with its queues; runs in it find the results of others and beat twice a minute."""
    environment_ = {
        "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": storage,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "mkgan_core",
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # a busy database
    }
    changed = []
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        pool = client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        changed.append(f"work pool {POOL} created")
    template = pool.base_job_template
    variables = template.get("variables", {}).get("properties", {}).get("env")
    if variables is not None and not environment_.items() <= (variables.get("default") or {}).items():
        variables["default"] = {**(variables.get("default") or {}), **environment_}
        client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
        changed.append(f"work pool {POOL}: environment of its runs")
    known = {queue.name for queue in client.read_work_queues(work_pool_name=POOL)}
    for name, priority in QUEUES.items():
        if name not in known:
            client.create_work_queue(name, priority=priority, work_pool_name=POOL)
            changed.append(f"queue {name} created")
    return changed


def _slots(client: SyncPrefectClient, wanted: int | None) -> list[str]:
    try:
        found = client.read_concurrency_limit_by_tag(TAG).concurrency_limit
    except ObjectNotFound:
        found = None
    if found is not None and wanted in (None, found):
        return []
    count = wanted or default_gpu_slots()
    client.create_concurrency_limit(TAG, count)
    return [f"GPU slots: {count}"]


def _deployments(client: SyncPrefectClient, settings: Settings) -> list[str]:
    """`prefect deploy --all`, unless every deployment has this version."""
    target, names = version(settings), deployment_names()
    found = {d.name: d.version for d in client.read_deployments() if d.name in names}
    if found == dict.fromkeys(names, target):
        return []
    variables = {"MKGAN_DEPLOYMENT_VERSION": target, "MKGAN_DIV2KRK": settings.div2krk}
    api_url = get_current_settings().api.url
    inherited = {
        name: value for name, value in os.environ.items() if name != "MKGAN_CHECKOUT"
    }  # each worker has its own
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE)],
        cwd=CHECKOUT,
        env={**inherited, **variables, "PREFECT_API_URL": str(api_url)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ConfigError(f"prefect deploy failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return [f"deployment {name} {'updated' if name in found else 'created'}" for name in names]
