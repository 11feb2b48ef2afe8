"""The models are the API's schemas, no more and no less."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from agentidp import errors, models
from agentidp._decode import decode, encode, format_time, member_name, members, parse_time

ROOT = Path(__file__).parents[3]
SCHEMAS: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())["components"]["schemas"]
ADDED = {"mostTokens"}  # that an older IdP does not send
MODELS: dict[str, Any] = {
    "NewCredentialAnswer": models.CredentialWithSecret,
    "CredentialList": models.Page,
    "OrganizationList": models.Page,
    "SidecarList": models.Page,
    **{
        name: getattr(models, name)
        for name in [
            "Agent",
            "AgentList",
            "Usage",
            "Credential",
            "Organization",
            "CreatedOrganization",
            "OrganizationUsage",
            "Introspection",
            "AuditEvent",
            "AuditList",
            "InclusionProof",
            "ConsistencyProof",
            "KeyList",
            "Key",
            "RevocationEntry",
            "RevocationPage",
            "RevocationPreview",
            "Stats",
            "StatsTopDenied",
            "StatsNow",
            "Sidecar",
            "Policy",
            "PolicyInput",
            "PolicyDecision",
            "Health",
            "Dependency",
            "Metadata",
            "JWKS",
            "JWK",
        ]
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_models_are_the_schemas(name: str) -> None:
    equal_members(name, SCHEMAS[name], MODELS[name])


def equal_members(name: str, schema: dict[str, Any], model: Any) -> None:
    fields = dataclasses.fields(model)
    always = {member_name(model, f.name) for f in fields if f.default is dataclasses.MISSING}
    assert {member_name(model, f.name) for f in fields} == set(schema["properties"]), name
    required = set(schema.get("required", ()))
    assert always <= required, name
    assert required - always <= ADDED, name
    for field in fields:
        member = schema["properties"][member_name(model, field.name)]
        member = member.get("items", member)
        inner = getattr(models, str(field.type).removeprefix("tuple[").split(",")[0].split(" |")[0], None)
        if "properties" in member and dataclasses.is_dataclass(inner):
            equal_members(f"{name}.{field.name}", member, inner)


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        (models.AgentType, SCHEMAS["AgentType"]),
        (models.AgentStatus, SCHEMAS["AgentStatus"]),
        (models.AgentSort, SCHEMAS["AgentSort"]),
        (models.DeploymentEnv, SCHEMAS["DeploymentEnv"]),
        (models.AuthMethod, SCHEMAS["AuthMethod"]),
        (models.CredentialStatus, SCHEMAS["Credential"]["properties"]["status"]),
        (models.Plan, SCHEMAS["Plan"]),
        (models.Outcome, SCHEMAS["AuditOutcome"]),
        (models.KeyStatus, SCHEMAS["Key"]["properties"]["status"]),
        (models.RevocationType, SCHEMAS["RevocationType"]),
        (models.StatsStep, SCHEMAS["StatsStep"]),
        (models.PreviewBound, SCHEMAS["RevocationPreview"]["properties"]["bound"]),
        (models.PolicySource, SCHEMAS["Policy"]["properties"]["source"]),
        (models.HealthStatus, SCHEMAS["Health"]["properties"]["status"]),
        (models.RPCProtocol, SCHEMAS["PolicyInput"]["properties"]["rpc"]["properties"]["protocol"]),
        (models.ErrorCode, SCHEMAS["Error"]["properties"]["code"]),
    ],
)
def test_enumerations_are_the_schemas(values: Any, schema: dict[str, Any]) -> None:
    assert set(get_args(values)) == set(schema["enum"])


def test_details_are_the_schema() -> None:
    names = {member_name(errors.Details, f.name) for f in dataclasses.fields(errors.Details)}
    assert names == set(SCHEMAS["Error"]["properties"]["details"]["properties"])


def test_examples_of_the_schemas_are_read() -> None:
    for name, model in MODELS.items():
        if "example" in SCHEMAS[name]:
            again = encode(decode(model, SCHEMAS[name]["example"]))
            assert again == SCHEMAS[name]["example"], name


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"status": "ok"},
        {"status": 5, "version": "1", "dependencies": {}},
        {"status": "ok", "version": True},
    ],
)
def test_what_is_not_the_model_is_refused(value: Any) -> None:
    with pytest.raises(errors.InvalidAnswerError):
        decode(models.Health, value)


def test_values_that_are_added_later_are_read() -> None:
    health = decode(models.Health, {"status": "resting", "version": "2", "dependencies": {}, "later": 1})
    assert str(health.status) == "resting"


def test_times() -> None:
    time = datetime(2026, 7, 1, 14, 0, 0, 999999, timezone(timedelta(hours=2)))
    assert format_time(time) == "2026-07-01T12:00:00.999Z"
    assert parse_time("2026-07-01T12:00:00.999Z") == datetime(2026, 7, 1, 12, 0, 0, 999000, timezone.utc)
    with pytest.raises(ValueError, match="offset"):
        format_time(datetime(2026, 7, 1))  # noqa: DTZ001 - it is what is refused
    with pytest.raises(ValueError, match="offset"):
        parse_time("2026-07-01T12:00:00")
    assert members(expires_at=time, metadata=None) == {"expiresAt": "2026-07-01T12:00:00.999Z", "metadata": None}


def test_no_secret_is_shown() -> None:
    example = SCHEMAS["CredentialWithSecret"]["example"]
    assert example["clientSecret"] not in repr(decode(models.CredentialWithSecret, example))


def test_the_sync_half_is_made_of_the_async_one() -> None:
    script = Path(__file__).parents[1] / "scripts" / "make_sync.py"
    made = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
