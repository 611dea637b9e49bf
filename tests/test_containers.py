"""The container files without an engine: the compose specification's schema, and what must hold beyond it."""

from __future__ import annotations

import copy
import json
import re
import shlex
import tomllib
from collections.abc import Iterable
from typing import Any

import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator

import fvrec
from flows import page
from flows.page import page_command
from tests.compose import ROOT, MissingVariableError, interpolate, published, read, resolved, start_order

VARIABLES = {"POSTGRES_PASSWORD": "chosen"}
SERVICES = ("postgres", "prefect-server", "worker", "app")
_SECRET = re.compile(r"password|secret|token|key", re.IGNORECASE)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = resolved(VARIABLES)["services"]
    return found


def faults(document: dict[str, Any]) -> list[str]:
    """What the compose specification's JSON schema (github.com/compose-spec/compose-spec) says against a file."""
    schema = get_builtin_schema("vendor.compose-spec")
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(document)]


def test_the_file_is_valid_as_written_and_with_its_variables() -> None:
    assert faults(read()) == []
    assert faults(resolved(VARIABLES)) == []


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [("app", "comand", ["streamlit"]), ("worker", "depends_on", {"app": {"condition": "healthy"}}), ("app", "user", 5)],
)
def test_the_schema_would_see_a_mistake(service: str, key: str, value: object) -> None:
    broken = copy.deepcopy(read())
    broken["services"][service][key] = value
    assert faults(broken)


def test_the_four_services_wait_for_each_others_health(services: dict[str, Any]) -> None:
    assert set(services) == set(SERVICES)
    assert start_order(services) == list(SERVICES)
    conditions = [one["condition"] for service in services.values() for one in service.get("depends_on", {}).values()]
    assert set(conditions) == {"service_healthy"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_checked_pinned_and_unprivileged(name: str, services: dict[str, Any]) -> None:
    service = services[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    repository, _, tag = service["image"].partition(":")
    assert repository
    assert re.fullmatch(r"\d+(\.\d+)+(-\w+)?", tag), "an image is pinned to one version"
    assert str(service["user"]).partition(":")[0] not in ("", "0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert not service.get("privileged")


def test_only_loopback_is_published_unless_one_says_otherwise(services: dict[str, Any]) -> None:
    ports = {name: published(service) for name, service in services.items()}
    assert {name: [one.container for one in found] for name, found in ports.items() if found} == {
        "prefect-server": [4200],
        "app": [8501],
    }
    assert {one.address for found in ports.values() for one in found} == {"127.0.0.1"}
    elsewhere = resolved({**VARIABLES, "BIND_ADDRESS": "10.0.0.5", "PAGE_PORT": "80"})["services"]
    assert [(one.address, one.host) for one in published(elsewhere["app"])] == [("10.0.0.5", 80)]
    assert elsewhere["prefect-server"]["environment"]["PREFECT_SERVER_UI_API_URL"] == "http://10.0.0.5:4200/api"


def test_volumes_are_named_and_the_page_cannot_write(services: dict[str, Any]) -> None:
    mounts = {name: [mount.split(":") for mount in service.get("volumes", [])] for name, service in services.items()}
    assert {mount[0] for found in mounts.values() for mount in found} == set(read()["volumes"])
    assert [mount[2:] for mount in mounts["app"]] == [["ro"]]


def test_secrets_come_from_the_surroundings_alone() -> None:
    written = [
        (name, value)
        for service in read()["services"].values()
        for name, value in service.get("environment", {}).items()
        if _SECRET.search(name)
    ]
    assert len(written) == 2
    assert all(re.fullmatch(r"\$\{POSTGRES_PASSWORD:\?.+\}", value) for _, value in written)
    with pytest.raises(MissingVariableError, match=r"choose one in \.env"):
        resolved({})
    with pytest.raises(MissingVariableError):
        resolved({"POSTGRES_PASSWORD": ""})


def test_the_example_names_every_variable_and_no_secret() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    offered = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert set(offered) == used
    assert offered["POSTGRES_PASSWORD"] == ""
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_variables_are_put_in_as_compose_does() -> None:
    known = {"A": "1", "EMPTY": ""}
    for text, expected in {
        "${A}": "1",
        "${B:-x}": "x",
        "${EMPTY:-x}": "x",
        "${EMPTY-x}": "",
        "${B:-http://${A}:${C:-4200}}/api": "http://1:4200/api",
        "$$A": "$A",
        "$${A}": "${A}",
    }.items():
        assert interpolate(text, known) == expected


# --- Dockerfile


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_has_a_pinned_base_a_plain_user_and_a_health_check() -> None:
    steps = instructions()
    arguments = dict(rest.split("=", 1) for word, rest in steps if word == "ARG")
    bases = {interpolate(rest.split()[0], arguments) for word, rest in steps if word == "FROM"}
    assert bases == {arguments["PYTHON_IMAGE"]}
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", arguments["PYTHON_IMAGE"])
    # Of the last stage: what runs.
    last = steps[max(at for at, (word, _) in enumerate(steps) if word == "FROM") :]
    assert [rest for word, rest in last if word == "USER"] == [resolved(VARIABLES)["services"]["app"]["user"]]
    assert [word for word, _ in last].count("HEALTHCHECK") == 1
    assert [word for word, _ in last][-1] == "CMD"


def test_image_and_compose_file_name_this_version_and_these_places() -> None:
    services = resolved(VARIABLES)["services"]
    assert {services[name]["image"] for name in ("prefect-server", "worker", "app")} == {f"fvrec:{fvrec.__version__}"}
    set_in_image = dict(
        pair.split("=", 1) for word, rest in instructions() if word == "ENV" for pair in shlex.split(rest)
    )
    worker = services["worker"]["environment"]
    assert {name: worker[name] for name in ("FVREC_ROOT", "FVREC_CHECKOUT")} == {
        name: set_in_image[name] for name in ("FVREC_ROOT", "FVREC_CHECKOUT")
    }
    assert f"VOLUME {worker['FVREC_ROOT']}" in {" ".join(step) for step in instructions()}


def test_the_page_in_a_container_is_started_as_the_command_line_starts_it() -> None:
    """But for its address: a container's loopback is nobody's."""
    options = _options(page_command(8501, opens_browser=False)[5:]) | {"server.address": "0.0.0.0"}
    service = resolved(VARIABLES)["services"]["app"]
    assert _options(service["command"][3:]) == options
    assert {name: service["environment"][name] for name in page.ENVIRONMENT} == page.ENVIRONMENT
    image = json.loads(instructions()[-1][1])
    begins = image.index("streamlit")
    assert dict(one.split("=") for one in image[1:begins]) == page.ENVIRONMENT
    names, values = image[begins + 3 :: 2], image[begins + 4 :: 2]
    assert _options(f"{name}={value}" for name, value in zip(names, values, strict=True)) == options


def _options(arguments: Iterable[str]) -> dict[str, str]:
    return dict(one.removeprefix("--").split("=", 1) for one in arguments)


def test_the_builder_is_sent_what_the_image_needs_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert sent == packages | {"pyproject.toml", "README.md", "LICENSE", "prefect.yaml"}
    assert [name for name in sent if not (ROOT / name).exists()] == []
