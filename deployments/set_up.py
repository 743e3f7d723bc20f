"""Sets up a Prefect server for mkgan: pool, queues, GPU slots, result storage, automations, deployments.

It creates what is missing and leaves the rest alone. A second call changes nothing, and changes made in the UI (a
disabled schedule, another number of GPU slots) stay.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessWorker

from deployments import automations, prefect_settings
from deployments.settings import DeploySettings
from mkgan_core.errors import ConfigError
from mkgan_core.machine import gpus
from mkgan_core.machine.cores import cores
from mkgan_core.machine.places import CODE
from mkgan_core.machine.storage import Store, storage_options

POOL, TAG, RESULTS = "mkgan-gpu", "gpu", "mkgan-results"
QUEUES = {"interactive": 1, "scheduled": 10}  # priorities: interactive runs come first
PREFECT_FILE = Path(__file__).parent / "prefect.yaml"  # a link in a checkout, a file in a wheel
PARAMETERS = CODE / "flows" / "config.py"  # the server keeps their schema, for the form and to check runs


def default_gpu_slots() -> int:
    """Number of steps that train at a time, if the settings do not say."""
    return gpus.slots() or cores()


def set_up(settings: DeploySettings) -> list[str]:
    """Create what mkgan needs on the configured server; return a line for each change.

    Raises:
        ConfigError: if the deployments cannot be created.
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
        raise ConfigError(f"cannot read {PREFECT_FILE} ({fault.strerror}); install mkgan again") from fault


def version(settings: DeploySettings) -> str:
    """A hash of the deployments' sources; a version that exists is not deployed again."""
    sources = PREFECT_FILE.read_bytes() + PARAMETERS.read_bytes() + settings.div2krk.encode()
    return hashlib.sha256(sources).hexdigest()[:12]


def _results(store: str) -> tuple[str, list[str]]:
    """The block for the tasks' results, in the store next to their artifacts; returns its slug and the changes."""
    place = Store(store)
    local = place.uri.startswith("file://")
    kind: Any = LocalFileSystem if local else RemoteFileSystem
    basepath = place.path("prefect-results") if local else place.uri_of("prefect-results")
    slug = f"{kind.get_block_type_slug()}/{RESULTS}"
    options = {} if local else {"settings": storage_options(place.uri)}
    try:
        block = kind.load(RESULTS)
        if block.basepath.rstrip("/") == basepath and (local or block.settings == options["settings"]):
            return slug, []
    except ValueError:
        pass
    kind(basepath=basepath, **options).save(RESULTS, overwrite=True)
    return slug, [f"task results are stored in {basepath}"]


def _pool(client: SyncPrefectClient, storage: str) -> list[str]:
    """The work pool, with its queues and the environment of its runs."""
    environment = prefect_settings.of_pool(storage)
    changed = []
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        pool = client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
        changed.append(f"work pool {POOL} created")
    template = pool.base_job_template
    variable = (
        template.get("variables", {}).get("properties", {}).get("env")
    )  # a pool with a custom template may lack it
    if variable is not None and not environment.items() <= (variable.get("default") or {}).items():
        variable["default"] = {**(variable.get("default") or {}), **environment}
        client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
        changed.append(f"work pool {POOL}: environment of its runs")
    existing = {queue.name for queue in client.read_work_queues(work_pool_name=POOL)}
    for name, priority in QUEUES.items():
        if name not in existing:
            client.create_work_queue(name, priority=priority, work_pool_name=POOL)
            changed.append(f"queue {name} created")
    return changed


def _slots(client: SyncPrefectClient, wanted: int | None) -> list[str]:
    """The limit of steps that train at a time."""
    try:
        current = client.read_concurrency_limit_by_tag(TAG).concurrency_limit
    except ObjectNotFound:
        current = None
    if current is not None and wanted in (None, current):
        return []
    count = wanted or default_gpu_slots()
    client.create_concurrency_limit(TAG, count)
    return [f"GPU slots: {count}"]


def _deployments(client: SyncPrefectClient, settings: DeploySettings) -> list[str]:
    """`prefect deploy --all`, unless every deployment has this version."""
    names = deployment_names()
    target = version(settings)
    existing = {entry.name: entry.version for entry in client.read_deployments() if entry.name in names}
    if existing == dict.fromkeys(names, target):
        return []
    # each worker has its own checkout
    inherited = {name: value for name, value in os.environ.items() if name != "MKGAN_CHECKOUT"}
    variables = {
        "MKGAN_DEPLOYMENT_VERSION": target,
        "MKGAN_DIV2KRK": settings.div2krk,
        "PREFECT_API_URL": str(get_current_settings().api.url),
    }
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE)],
        cwd=CODE,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ConfigError(f"prefect deploy failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return [f"deployment {name} {'updated' if name in existing else 'created'}" for name in names]
