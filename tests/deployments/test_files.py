"""The files in `deployments`, as far as they can be checked without Docker and Kubernetes: they were never run."""

from __future__ import annotations

import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prefect import settings
from prefect.server.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values
from pydantic import TypeAdapter

from deployments import prefect_settings
from mkgan_core.machine.places import CODE

FOLDER = CODE / "deployments"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_services_of_compose_are_complete(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert "image" in service, name
        assert set(service.get("depends_on", [])) <= set(services), name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]
        if service["image"].startswith("mkgan") and isinstance(service["command"], str):
            program = service["command"].split()[0]
            assert (Path(sys.executable).parent / program).exists(), program
    gpu = yaml.safe_load((FOLDER / "compose.gpu.yaml").read_text())
    assert set(gpu["services"]) <= set(services)
    devices = gpu["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


def test_settings_of_compose_exist(compose: dict[str, Any]) -> None:
    named = {name: value for s in compose["services"].values() for name, value in s.get("environment", {}).items()}
    assert all(hasattr(settings, name) for name in named if name.startswith("PREFECT_"))
    retention = TypeAdapter(timedelta).validate_python(named["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"])
    assert retention == timedelta(days=2)


def test_compose_sets_prefect_up_as_the_command_does(compose: dict[str, Any]) -> None:
    server = compose["services"]["server"]["environment"]
    both = server.keys() & prefect_settings.COMMAND.keys()
    assert both >= prefect_settings.DATABASE.keys()
    assert {name: server[name] for name in both} == {name: prefect_settings.COMMAND[name] for name in both}


def test_no_secret_has_a_default() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    used = re.findall(r"\$\{(\w*(?:PASSWORD|KEY)\w*)([^}]*)\}", text)
    assert {name for name, _ in used} == {"POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"}
    assert all(rest.startswith(":?") for _, rest in used)


def test_the_kubernetes_template_is_a_work_pools_template() -> None:
    template = json.loads((FOLDER / "kubernetes-job-template.json").read_text())
    WorkPoolCreate(name="mkgan-gpu", type="kubernetes", base_job_template=template)  # every {{ variable }} is declared
    variables = template["variables"]
    jsonschema.Draft202012Validator.check_schema(variables)
    defaults = {name: schema["default"] for name, schema in variables["properties"].items() if "default" in schema}
    jsonschema.validate(defaults, variables)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**defaults, "gpus": -1}, variables)
    job = apply_values(template["job_configuration"], {**defaults, "gpus": 2})["job_manifest"]
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert container["image"] == "mkgan:latest"
