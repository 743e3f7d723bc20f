"""Automations on the server: report failed runs, and mark runs as crashed whose process died silently."""

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
    """The project's automations; saves a webhook block if there is an address to call.

    Args:
        notify_url: called with a JSON document when a run fails or crashes; None for no notification.
        zombie_after_s: seconds without a heartbeat after which a run counts as dead.
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
            else "Notifies nobody: set MKGAN_NOTIFY_URL, then run mkgan deploy.",
            trigger=EventTrigger(posture=Posture.Reactive, expect=_states(FAILURES), threshold=1, **about_ours),
            actions=[call],
        ),
        AutomationCore(
            name=ZOMBIES,
            description=f"Marks a run as crashed after {zombie_after_s} s without a heartbeat.",
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
    """Create missing automations and update those that differ; return a line for each change.

    An automation that was disabled in the UI stays disabled.
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
    """An automation's content in a form that can be compared."""
    kept = automation.model_dump(mode="json", include={"name", "description", "enabled", "trigger", "actions"})
    trigger = kept["trigger"]
    return kept | {"trigger": {k: sorted(v) if isinstance(v, list) else v for k, v in trigger.items() if k != "id"}}


def _webhook(url: str) -> UUID:
    """ID of the block with the address; saves the block if it is new or has changed."""
    try:
        block: Any = Webhook.load(WEBHOOK)
    except ValueError:
        block = None
    if block is None or block.url.get_secret_value() != url:
        block = Webhook(method="POST", url=SecretStr(url))
        block.save(WEBHOOK, overwrite=True)
    return block._block_document_id
