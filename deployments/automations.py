"""What the server does by itself: report failed runs, and mark runs as crashed that died without a word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState, DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from pydantic import SecretStr

FAILED, ZOMBIES = "mkgan: a run failed or crashed", "mkgan: crash zombie runs"
WEBHOOK = "mkgan-notify"
FLOWS = ["benchmark", "upscale"]
RUNS = {"prefect.resource.id": "prefect.flow-run.*"}
OURS = {"prefect.resource.role": "flow", "prefect.resource.name": FLOWS}
FAILURES = ("Failed", "Crashed", "TimedOut")
ENDS = ("Completed", "Cancelled", "AwaitingRetry", "Scheduled", "Paused", "Suspended")  # states without heartbeats
# "text" is what Slack, Mattermost, Teams and most others show
PAYLOAD = (
    '{"text": {{ ("mkgan: " ~ flow_run.name ~ ": " ~ flow_run.state.name ~ ", " ~ (flow_run.state.message or "") '
    '~ " " ~ (flow_run | ui_url)) | tojson }}}'
)


def wanted(notify_url: str | None, zombie_after_s: int) -> list[AutomationCore]:
    """The project's automations; saves the webhook's block where there is an address to call.

    Args:
        notify_url: called with a JSON document when a run fails or crashes; None to tell nobody.
        zombie_after_s: seconds after its last heartbeat at which a run is taken for dead.
    """
    call: Any = CallWebhook(block_document_id=_webhook(notify_url), payload=PAYLOAD) if notify_url else DoNothing()
    crash: Any = ChangeFlowRunState(
        state=StateType.CRASHED,
        name="Crashed",
        message=f"No sign of life for {zombie_after_s} s. Finished steps are kept: retry the run.",
        force=False,
    )
    about_ours: dict[str, Any] = {"match": RUNS, "match_related": OURS, "for_each": {"prefect.resource.id"}}
    beat = "prefect.flow-run.heartbeat"
    return [
        AutomationCore(
            name=FAILED,
            description="Calls MKGAN_NOTIFY_URL."
            if notify_url
            else "Tells nobody: set MKGAN_NOTIFY_URL, then mkgan deploy.",
            trigger=EventTrigger(posture=Posture.Reactive, expect=_states(FAILURES), threshold=1, **about_ours),
            actions=[call],
        ),
        AutomationCore(
            name=ZOMBIES,
            description=f"Marks a run as crashed that gave no sign of life for {zombie_after_s} s.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                after={beat},
                expect={beat, *_states(ENDS), *_states(FAILURES)},
                threshold=1,
                within=timedelta(seconds=zombie_after_s),
                **about_ours,
            ),
            actions=[crash],
        ),
    ]


def _states(names: Sequence[str]) -> set[str]:
    return {f"prefect.flow-run.{name}" for name in names}


def ensure(client: SyncPrefectClient, automations: list[AutomationCore]) -> list[str]:
    """Create the automations that are missing and update those that differ; returns a line for each change.

    An automation that was switched off in the UI stays off.
    """
    changes = []
    for automation in automations:
        existing = client.read_automations_by_name(automation.name)
        if not existing:
            client.create_automation(automation)
            changes.append(f"automation '{automation.name}' created")
            continue
        current = existing[0]
        updated = automation.model_copy(update={"enabled": current.enabled})
        if _meaning(updated) != _meaning(current):
            client.update_automation(current.id, updated)
            changes.append(f"automation '{automation.name}' updated")
    return changes


def _meaning(automation: AutomationCore) -> dict:
    """What an automation says, in a form that compares."""
    kept = automation.model_dump(mode="json", include={"name", "description", "enabled", "trigger", "actions"})
    trigger = kept["trigger"]
    return kept | {"trigger": {k: sorted(v) if isinstance(v, list) else v for k, v in trigger.items() if k != "id"}}


def _webhook(url: str) -> UUID:
    """ID of the block that holds the address, saved if it is new."""
    try:
        block: Any = Webhook.load(WEBHOOK)
    except ValueError:
        block = None
    if block is None or block.url.get_secret_value() != url:
        block = Webhook(method="POST", url=SecretStr(url))
        block.save(WEBHOOK, overwrite=True)
    return block._block_document_id
