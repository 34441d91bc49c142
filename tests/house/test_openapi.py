"""The interface as it is described: the committed copy, its and its structure."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.openapi import as_yaml
from gateway.http.app import make_app
from gateway.http.doors import Doors
from gateway.http.openapi import document
from gateway.http.problems import STATUSES, encode

ROOT = Path(__file__).parent.parent.parent
COPY = ROOT / "openapi" / "gateway.yaml"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
PLACES = {"query", "header", "path", "cookie"}
TYPES = {"string", "integer", "number", "boolean", "object", "array", "null"}
TOLD: dict[str, Any] = json.loads(encode(document()))


def objects(node: Any, path: str = "#") -> Iterator[tuple[str, Any]]:
    """Every object in the document, with where it stands."""
    if isinstance(node, dict):
        yield path, node
        for name, member in node.items():
            yield from objects(member, f"{path}/{name}")
    elif isinstance(node, list):
        for number, item in enumerate(node):
            yield from objects(item, f"{path}/{number}")


def operations() -> list[tuple[str, str, Any]]:
    return [(path, method, it) for path, item in TOLD["paths"].items() for method, it in item.items()]


def test_the_committed_copy_is_what_the_command_prints() -> None:
    assert COPY.read_text(encoding="utf-8") == as_yaml(), "make openapi writes it anew"
    assert yaml.safe_load(COPY.read_text(encoding="utf-8")) == TOLD


def test_the_document_is_openapi_3_1() -> None:
    assert re.fullmatch(r"3\.1\.\d+", TOLD["openapi"])
    assert {"title", "version"} <= TOLD["info"].keys()
    assert TOLD.keys() <= {"openapi", "info", "servers", "tags", "paths", "webhooks", "components"}
    assert TOLD["components"].keys() <= {"schemas", "securitySchemes"}
    assert all(set(item) <= METHODS and path.startswith("/") for path, item in TOLD["paths"].items())


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used = {it["$ref"] for _, it in objects(TOLD) if "$ref" in it}
    assert used == {f"#/components/schemas/{name}" for name in TOLD["components"]["schemas"]}


@pytest.mark.parametrize(
    ("path", "method", "operation"), operations(), ids=lambda it: it if isinstance(it, str) else ""
)
def test_an_operation_is_whole(path: str, method: str, operation: Any) -> None:
    assert operation["summary"]
    assert set(operation["tags"]) <= {tag["name"] for tag in TOLD["tags"]}
    named = re.findall(r"\{(\w+)\}", path)
    parameters = operation.get("parameters", [])
    assert [it["name"] for it in parameters if it["in"] == "path"] == named
    for parameter in parameters:
        assert parameter["in"] in PLACES
        assert parameter["schema"]
        assert parameter.get("required", False) is (parameter["in"] == "path")
    assert operation["responses"]
    for status, response in operation["responses"].items():
        assert re.fullmatch(r"[2-5]\d\d", status)
        assert response["description"], (path, method, status)
        assert response["content"], (path, method, status)
        for content in response["content"].values():
            assert content["schema"]


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)


def test_every_schema_is_json_schema() -> None:
    for where, schema in objects(TOLD["components"]["schemas"]):
        kind = schema.get("type")
        if isinstance(kind, str | list) and "/properties" not in where.rpartition("/")[2]:
            assert set([kind] if isinstance(kind, str) else kind) <= TYPES, where
        if "required" in schema and "properties" in schema:
            assert set(schema["required"]) <= set(schema["properties"]), where
        assert "nullable" not in schema, f"{where}: that is OpenAPI 3.0"


def test_what_needs_a_key_is_what_lies_under_v1() -> None:
    for path, _, operation in operations():
        assert ("security" in operation) is path.startswith("/v1/")
        assert ("401" in operation["responses"]) is (path.startswith(("/v1/", "/webhooks/")))


def test_every_path_that_is_served_is_described_and_no_other() -> None:
    nobody: Any = dict.fromkeys(Doors.__struct_fields__)
    app = make_app(Doors(**{**nobody, "accounts": frozenset({"main"})}), has_public_door=False)
    served = {re.sub(r"{(\w+):str}", r"{\1}", route.path) for route in app.routes}
    assert set(TOLD["paths"]) == {path.replace("/zalo/main", "/zalo/{account}") for path in served}


def test_every_code_is_told_by_an_operation() -> None:
    told = " ".join(it["description"] for _, _, one in operations() for it in one["responses"].values())
    assert {kind.code for kind in STATUSES if f"`{kind.code}`" not in told} == set()
