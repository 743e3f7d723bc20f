"""The nightly run starts by itself, a region fails, one click in the real UI runs that region again."""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.client.schemas.sorting import ArtifactSort

from flows.config import IMAGE_METHODS
from mkgan_core.pipeline.method import DEFAULT_METHOD
from tests.e2e.operating.serving import Serving, mend
from tests.e2e.services import until

METHODS = ["bicubic", "bicubic+back-projection", "given/bicubic+back-projection"]
# per image: 2 segmentations; kernels of 1 + 2 regions; 1 + 1 + 2 enlargements; 3 scores
STEPS = 2 * (2 + 3 + 4 + 3)


@pytest.fixture(scope="module")
def damaged(serving: Serving) -> Path:
    """What keeps the store from taking the kernel of one region of one image."""
    return serving.spoil(serving.data, "im_2")


@pytest.fixture(scope="module")
def nightly(serving: Serving, damaged: Path) -> FlowRun:
    """The run that the nightly deployment's schedule started, when it has ended."""
    config = {"dataset": str(serving.data), "methods": METHODS}
    soon = IntervalSchedule(interval=timedelta(minutes=1), anchor_date=datetime.now(UTC) + timedelta(seconds=15))
    with serving.client() as client:
        deployment = client.read_deployment_by_name("benchmark/div2krk-x2-nightly")
        # the time alone is the test's own: the deployment's own schedule says one o'clock
        schedule = client.request(
            "POST",
            "/deployments/{id}/schedules",
            path_params={"id": deployment.id},
            json=[
                {
                    "schedule": soon.model_dump(mode="json"),
                    "active": True,
                    "parameters": {"config": config},
                    "slug": "test",
                }
            ],
        ).json()[0]
        chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))

        def first() -> FlowRun | None:
            found = client.read_flow_runs(deployment_filter=chosen)
            due = [run for run in found if run.auto_scheduled and run.parameters["config"] == config]
            # on a busy machine the next minute's run may be due before this one has begun: that one is cancelled
            return next((run for run in due if run.run_count), None)

        run = until(first, "the schedule to start a run")
        client.delete_deployment_schedule(deployment.id, schedule["id"])
    return serving.ended(run.id)


@pytest.fixture
def tab(chromium: Any, serving: Serving) -> Iterator[Any]:
    """A page of somebody who has signed in."""
    context = chromium.new_context(viewport={"width": 1500, "height": 1000})
    context.set_default_timeout(180_000)  # the server may stand still for a minute
    word = base64.b64encode(serving.auth.encode()).decode()  # as the form keeps it
    context.add_init_script(f"localStorage.setItem('prefect-password', '{word}')")
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("MKGAN_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def rows_of(serving: Serving, run: FlowRun) -> pd.DataFrame:
    return pd.read_parquet(serving.store / "runs" / f"tiny-x2-fast-{str(run.id)[-8:]}" / "report.parquet")


def test_the_schedule_started_it_and_one_region_failed(serving: Serving, nightly: FlowRun) -> None:
    assert nightly.auto_scheduled
    assert nightly.state and nightly.state.is_failed()
    assert "1 of 22 steps failed, and with them 1 of 6 rows" in (nightly.state.message or "")  # 2 are not reached
    assert nightly.name == "compare 3 methods on tiny x2, preset fast"
    assert set(nightly.tags) >= {"benchmark", "div2krk", "nightly"}
    assert nightly.work_queue_name == "scheduled"
    tasks = serving.tasks(nightly.id)
    failed = [task for task in tasks if task.state_name == "Failed"]
    assert [task.name for task in failed] == ["estimate kernel of im_2 object by bicubic"]
    assert failed[0].run_count == 3  # the store may come back
    rows = rows_of(serving, nightly)
    assert list(rows[rows["status"] == "failed"]["image"]) == ["im_2"]
    assert (rows["status"] == "ok").sum() == 5


def test_retry_in_the_ui_runs_that_region_again_and_nothing_else(
    serving: Serving, nightly: FlowRun, damaged: Path, tab: Any, screenshots: Path
) -> None:
    before = {task.id: task.run_count for task in serving.tasks(nightly.id)}
    mend(damaged)
    tab.goto(f"{serving.url}/runs/flow-run/{nightly.id}")
    tab.get_by_role("button", name="Retry").wait_for()
    tab.wait_for_timeout(2000)  # the timeline is drawn
    tab.screenshot(path=screenshots / "1-failed-run.png")
    tab.get_by_role("button", name="Retry").click()
    dialog = tab.get_by_role("dialog")
    tab.screenshot(path=screenshots / "2-retry-dialog.png")
    dialog.get_by_role("button", name="Retry").click()
    again = serving.ended(nightly.id, runs=2)
    assert again.state and again.state.is_completed(), again.state
    tasks = [task for task in serving.tasks(nightly.id) if task.run_count != before.get(task.id)]
    done = {task.name for task in tasks if task.state_name == "Completed"}
    assert done == {
        "estimate kernel of im_2 object by bicubic",
        "enlarge im_2 object by bicubic+back-projection",
        "score im_2 by given/bicubic+back-projection",
    }
    assert Counter(task.state_name for task in tasks) == {"Completed": 3, "Cached": STEPS - 3}
    rows = rows_of(serving, nightly)  # the second report replaces the first
    assert len(rows) == 6
    assert (rows["status"] == "ok").all()
    tab.reload()
    tab.wait_for_timeout(3000)
    tab.screenshot(path=screenshots / "3-after-retry.png")


def test_the_ui_wants_the_password(serving: Serving, chromium: Any, screenshots: Path) -> None:
    context = chromium.new_context()
    context.set_default_timeout(180_000)
    page = context.new_page()
    page.goto(serving.url)
    field = page.locator("input[type=password]")
    field.wait_for()
    page.screenshot(path=screenshots / "0-sign-in.png")
    field.fill(serving.auth)
    page.get_by_role("button", name="Login").click()
    page.get_by_text("Deployments").first.click()
    page.get_by_text("sample-smoke").first.wait_for()
    context.close()


def test_the_comparison_is_on_the_page(serving: Serving, nightly: FlowRun, tab: Any, screenshots: Path) -> None:
    with serving.client() as client:
        found = client.read_artifacts(sort=ArtifactSort.CREATED_DESC, limit=200)[::-1]
    # later ones replace earlier ones; results of tasks are artifacts without a key
    keys = {artifact.key: artifact.id for artifact in found if artifact.key and artifact.flow_run_id == nightly.id}
    assert set(keys) == {f"{kind}-tiny-x2" for kind in "comparison statistics images sheet report progress".split()}
    tab.goto(f"{serving.url}/artifacts/artifact/{keys['comparison-tiny-x2']}")
    tab.get_by_text("given/bicubic+back-projection").first.wait_for()
    for heading in ("PSNR Y", "vs bicubic", "change", "kernel PSNR"):
        assert tab.get_by_text(heading, exact=True).first.is_visible()
    for number, kind in enumerate("comparison statistics images sheet report".split(), start=4):
        tab.goto(f"{serving.url}/artifacts/artifact/{keys[f'{kind}-tiny-x2']}")
        tab.wait_for_timeout(2000)
        tab.screenshot(path=screenshots / f"{number}-{kind}.png")
    tab.goto(f"{serving.url}/artifacts/artifact/{keys['sheet-tiny-x2']}")
    picture = tab.locator("img[src^='data:image/webp']").first
    picture.wait_for()
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 300


def test_the_form_shows_choices_and_help(serving: Serving, tab: Any, screenshots: Path) -> None:
    with serving.client() as client:
        deployment = client.read_deployment_by_name("benchmark/div2krk-x2-nightly")
    tab.goto(f"{serving.url}/deployments/deployment/{deployment.id}/run")
    for text in ("enlargement factor", "settings of all parts"):
        shown = tab.get_by_text(text).first
        shown.wait_for()
        assert shown.is_visible()
    tab.screenshot(path=screenshots / "9-form.png", full_page=True)
    preset = tab.locator(".p-select button").filter(has_text="fast")
    preset.press("ArrowDown")  # opens the list of choices
    tab.get_by_role("option").first.wait_for()
    assert tab.get_by_role("option").all_inner_texts() == ["fast", "best", "paper"]


def test_the_form_of_upscale_offers_methods_and_takes_others(serving: Serving, tab: Any, screenshots: Path) -> None:
    with serving.client() as client:
        deployment = client.read_deployment_by_name("upscale/upscale")
    tab.goto(f"{serving.url}/deployments/deployment/{deployment.id}/run")
    tab.get_by_text("<name>_x<scale>.png").first.wait_for()  # not taken for HTML
    assert tab.locator(".p-button-group").filter(has_text="None").count() == 0  # nobody has to choose a type
    tab.locator(".p-select button").filter(has_text=DEFAULT_METHOD).press("ArrowDown")
    tab.get_by_role("option").first.wait_for()
    assert tab.get_by_role("option").all_inner_texts() == IMAGE_METHODS
    tab.keyboard.press("Escape")
    fields = tab.locator("textarea")
    before = fields.count()
    tab.get_by_text("Add item").click()
    fields.nth(before).wait_for()
    fields.nth(0).fill("/nowhere/form.png")
    other = "yolo-sam/spectral+back-projection"
    fields.nth(1).press_sequentially(other, delay=100)
    tab.screenshot(path=screenshots / "10-form-of-upscale.png", full_page=True)
    submit = tab.get_by_role("button", name="Submit")

    def submitted() -> FlowRun | None:
        if submit.is_visible():  # again: a server whose database is busy refuses the first
            submit.click()
        tab.wait_for_timeout(5000)
        with serving.client() as client:
            runs = client.read_flow_runs(limit=50)
        return next((r for r in runs if r.parameters["config"].get("images") == ["/nowhere/form.png"]), None)

    assert until(submitted, "the form to start a run").parameters["config"]["other_method"] == other
