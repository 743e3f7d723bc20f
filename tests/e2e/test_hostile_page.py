"""A web page of somebody else, in a browser of this machine, against the embedded server, which has no password."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient

from deployments.embedded import EmbeddedServer
from tests.deployments.stub_api import web_server
from tests.e2e.services import until

ARRIVED = "mkgan.image.arrived"
# what a page can try; each attempt tells what it got, or that it got nothing
ATTACK = """
async ({api, deployment, event}) => {
    const json = {"Content-Type": "application/json"}, got = {}
    const attempt = async (name, work) => { try { got[name] = await work() } catch (fault) { got[name] = null } }
    const read = async answer => answer.type !== "opaque" && answer.ok ? await answer.text() : null
    const post = (path, body, more) => fetch(api + path, {method: "POST", body: JSON.stringify(body), ...more})
    const start = `/deployments/${deployment}/create_flow_run`
    await attempt("list runs", async () => read(await post("/flow_runs/filter", {}, {headers: json})))
    await attempt("settings", async () => read(await fetch(api + "/admin/settings")))
    await attempt("token", async () => read(await fetch(api + "/csrf-token?client=evil")))
    await attempt("start", async () => read(await post(start, {}, {headers: json})))
    await attempt("start blindly", async () => read(await post(start, {}, {mode: "no-cors"})))
    await attempt("event blindly", async () => read(await post("/events", [event], {mode: "no-cors"})))
    const socket = (path, protocols, lines) => new Promise((done, fail) => {
        const way = new WebSocket(api.replace("http", "ws") + path, protocols), heard = []
        way.onopen = () => {
            lines.forEach(line => way.send(JSON.stringify(line)))
            setTimeout(() => done(heard), 1500)
        }
        way.onmessage = message => heard.push(message.data)
        way.onerror = fail
    })
    const hello = {type: "auth", token: null}, all = {type: "filter", filter: {}}
    await attempt("event", () => socket("/events/in", [], [event]))
    await attempt("event after hello", () => socket("/events/in", ["prefect"], [hello, event]))
    await attempt("listen", () => socket("/events/out", ["prefect"], [hello, all]))
    await attempt("logs", () => socket("/logs/out", ["prefect"], [hello, all]))
    return got
}
"""


def event(kind: str) -> dict[str, Any]:
    """A new event, as one posts it."""
    return {
        "event": kind,
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": "mkgan.image.evil"},
        "payload": {"uri": "http://evil.example/x.png"},
        "id": str(uuid4()),
    }


@dataclass
class Target:
    """A server with one deployment."""

    server: EmbeddedServer
    deployment: UUID

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.server.api_url)

    def changes(self) -> tuple[int, int]:
        """How many flow runs and how many events of images there are, once the server has dealt with all it got."""
        mark = event(f"mkgan.test.{uuid4()}")  # it writes down events in their order, some time later
        with self.client() as client:

            def count(kind: str) -> int:
                chosen = {"filter": {"event": {"name": [kind]}}}
                return len(client.request("POST", "/events/filter", json=chosen).json()["events"])

            client.request("POST", "/events", json=[mark])
            until(lambda: count(mark["event"]), "an event", 0.1)
            return len(client.read_flow_runs()), count(ARRIVED)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL", "0.2")
        server = EmbeddedServer(tmp_path_factory.mktemp("hostile") / ".prefect")
    try:
        server.wait()
        with SyncPrefectClient(server.api_url) as client:
            flow = client.request("POST", "/flows/", json={"name": "upscale"}).json()["id"]
            made = client.request("POST", "/deployments/", json={"name": "upscale", "flow_id": flow}).json()
        yield Target(server, UUID(made["id"]))
    finally:
        server.stop()


@pytest.fixture(scope="module")
def attacker() -> Iterator[int]:
    """Port of a web server with an empty page."""
    with web_server({}, (200, b"<title>kittens</title>")) as url:
        yield urlsplit(url).port or 0


def attack(page: Any, target: Target, host: str = "127.0.0.1") -> dict[str, Any]:
    api = target.server.api_url.replace("127.0.0.1", host)
    return page.evaluate(ATTACK, {"api": api, "deployment": str(target.deployment), "event": event(ARRIVED)})


@pytest.mark.parametrize("own_name", ["evil.example", "127.0.0.1"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_a_page_of_another_origin_gets_nothing(
    target: Target, attacker: int, chromium: Any, own_name: str, host: str
) -> None:
    before = target.changes()
    page = chromium.new_page()
    page.goto(f"http://{own_name}:{attacker}/")
    assert page.title() == "kittens"
    assert set(attack(page, target, host).values()) == {None}
    # a form needs no script
    page.set_content(
        f'<form method=post enctype=text/plain action="{target.server.api_url}/deployments/{target.deployment}'
        "/create_flow_run\"><input name='{\"a' value='\":1}'></form>"
    )
    with page.expect_navigation():
        page.evaluate("document.forms[0].submit()")
    page.close()
    assert target.changes() == before


def test_a_name_that_leads_to_this_machine_shows_nothing(target: Target, chromium: Any) -> None:
    page = chromium.new_page()
    shown = page.goto(f"http://evil.example:{target.server.port}/")
    assert shown.status == 400
    assert set(attack(page, target, "evil.example").values()) == {None}
    page.close()


def test_no_page_shows_the_ui_in_a_frame(target: Target, attacker: int, chromium: Any) -> None:
    page = chromium.new_page()
    page.goto(f"http://evil.example:{attacker}/")
    page.set_content(f'<iframe src="{target.server.url}/dashboard"></iframe>')
    page.wait_for_timeout(2000)
    assert all(target.server.url not in frame.url for frame in page.frames)
    page.close()


def test_its_own_page_works(target: Target, chromium: Any) -> None:
    before = target.changes()
    page = chromium.new_page()
    page.goto(f"{target.server.url}/deployments")
    page.get_by_text("upscale").first.wait_for(timeout=120_000)  # read with a token of its own
    got = attack(page, target)
    assert got["settings"] is not None
    assert got["listen"] is not None
    assert got["list runs"] is None  # not even from there without the token
    page.close()
    assert target.changes() == (before[0], before[1] + 1)  # the attempts are real: an event gets through


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}, {}], ids=json.dumps
)
def test_plain_requests_of_others_change_nothing(target: Target, headers: dict[str, str]) -> None:
    before = target.changes()
    for path in ("/flow_runs/filter", f"/deployments/{target.deployment}/create_flow_run"):
        done = httpx.post(f"{target.server.api_url}{path}", headers=headers, json={})
        assert done.status_code in (400, 403)
        assert "runs" not in done.text.replace("flow_runs", "")
    assert target.changes() == before


def test_who_may_read_across_origins(target: Target) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    done = httpx.options(f"{target.server.api_url}/flow_runs/filter", headers=asked)
    assert done.status_code == 403
    assert "access-control-allow-origin" not in done.headers
