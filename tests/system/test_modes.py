"""Every mode of CloudEvents over real HTTP: what is said is understood, and what cannot be is told with its place."""

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.system.stage import KEYS, Answer, Process, Stage, lowered, order, problem, read

BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"
ATTRIBUTES = ("specversion", "id", "source", "type", "time", "subject")


def binary(gateway: Process, event: dict[str, Any], *extra: tuple[str, str], body: Any = None) -> Answer:
    """The answer to an event in binary mode; `extra` headers may repeat others."""
    headers = [(f"ce-{name}", quote(event[name], safe="/:")) for name in ATTRIBUTES if name in event]
    if not any(name.lower() == "content-type" for name, _ in extra):
        headers.append(("Content-Type", "application/json"))
    return raw(gateway, [*headers, *extra], event["data"] if body is None else body)


def raw(gateway: Process, headers: list[tuple[str, str]], body: Any) -> Answer:
    """The answer to a POST with these headers, as they are and as often as they are."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)
    with closing(connection):
        connection.putrequest("POST", "/v1/events")
        for name, value in [
            ("Authorization", f"Bearer {KEYS['checkout']}"),
            ("Content-Length", str(len(sent))),
            *headers,
        ]:
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders(sent)
        response = connection.getresponse()
        return Answer(response.status, lowered(response.headers), read(response.read()))


def whole(event_id: str, **changes: Any) -> dict[str, Any]:
    return order(event_id, **{"specversion": "1.0", **changes})


def pointers(body: Any) -> set[str]:
    return {fault["pointer"] for fault in body["errors"]}


# -- binary --


def test_an_event_is_the_same_in_every_mode(gateway: Process, scene: Stage) -> None:
    event = whole("m-1", source="/cửa hàng/Đà Nẵng", subject='đơn "DH 1" 100%')
    first = binary(gateway, event)
    assert first.status == 200, first
    assert first.message["event"] == {"id": "m-1", "source": "/cửa hàng/Đà Nẵng", "type": "order.paid"}
    for again in (
        gateway.post(event, Content_Type=STRUCTURED),
        gateway.post(event),
        binary(gateway, event, ("ce-traceid", "x")),
    ):
        assert (again.status, again.headers["idempotency-replayed"]) == (200, "true")
        assert again.message["tracking_id"] == first.message["tracking_id"]
    (result,) = gateway.post([event], Content_Type=BATCH).body["results"]
    assert (result["http"], result["replayed"]) == (200, True)
    assert len(scene.sent(first.message["tracking_id"])) == 1


def test_a_mapping_reads_what_the_headers_say(gateway: Process) -> None:
    event = whole("m-2", time="2026-11-23T08:00:00Z")
    shown = gateway.ask("POST", "/v1/events/preview", event, KEYS["checkout"]).body
    headers = {f"ce_{name}": quote(event[name]) for name in ("specversion", "id", "source", "type", "time")}
    assert gateway.ask("POST", "/v1/events/preview", event["data"], KEYS["checkout"], **headers).body == shown
    assert shown["template_data"]["paid_at"] == "15:00 23/11/2026"


@pytest.mark.parametrize("said", ["/c%E1%BB%ADa", '"/c%E1%BB%ADa"', '"\\/c%e1%bb%ada"', "/cửa", " /c%E1%BB%ADa "])
def test_a_header_is_unquoted_and_then_decoded_once(gateway: Process, said: str) -> None:
    event = whole("m-3")
    del event["source"]
    assert binary(gateway, event, ("ce-source", said)).message["event"]["source"] == "/cửa"


def test_a_whole_event_is_read_as_such_although_headers_say_some_of_it_again(gateway: Process) -> None:
    event = whole("m-10")
    said = {f"ce_{name}": quote(event[name]) for name in ("specversion", "id", "source", "type")}
    answer = gateway.post(event, Content_Type=STRUCTURED, **said)
    assert (answer.status, answer.message["event"]["id"]) == (200, "m-10")
    (result,) = gateway.post([event], Content_Type=BATCH, **said).body["results"]
    assert (result["http"], result["replayed"]) == (200, True)


def test_a_percent_sign_that_is_encoded_twice_is_decoded_once(gateway: Process) -> None:
    event = whole("m-4")
    del event["source"]
    assert binary(gateway, event, ("ce-source", "a%2541")).message["event"]["source"] == "a%41"


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "application/vnd.shop+json", None])
def test_the_data_is_json_under_any_of_its_names(gateway: Process, content_type: str | None) -> None:
    event = whole("m-5")
    headers = [(f"ce-{name}", quote(event[name])) for name in ATTRIBUTES if name in event]
    if content_type is not None:
        headers.append(("Content-Type", content_type))
    assert raw(gateway, headers, event["data"]).status == 200


@pytest.mark.parametrize(
    ("changes", "extra", "body", "places"),
    [
        ({"specversion": "0.3"}, (), None, {"/specversion"}),
        ({"id": ""}, (), None, {"/id"}),
        ({"id": "x" * 256}, (), None, {"/id"}),
        ({"id": "a\x00b"}, (), None, {"/id"}),
        ({"type": "a\nb", "source": "\x7f"}, (), None, {"/type", "/source"}),
        ({}, (("ce-id", "other"),), None, {"/id"}),
        ({}, (("ce-id", "m-6"),), None, {"/id"}),
        ({}, (("ce-note", "100%"),), None, {"/note"}),
        ({}, (("ce-note", "%zz"), ("ce-more", "%C3%28")), None, {"/note", "/more"}),
        ({}, (("ce-data", "{}"),), None, {"/data"}),
        ({}, (("ce-data_base64", "e30="),), None, {"/data_base64"}),
        ({}, (("ce-datacontenttype", "text/plain"),), None, {"/datacontenttype"}),
        ({}, (), b"", {"/data"}),
        ({}, (), b"[]", {"/data"}),
        ({}, (), b'"text"', {"/data"}),
        ({}, (), b"{", {"/data"}),
        ({}, (), b'{"a":1,"a":1}', {"/data/a"}),
    ],
)
def test_what_is_wrong_in_binary_mode_is_told_with_its_place(
    gateway: Process, changes: dict[str, str], extra: tuple[tuple[str, str], ...], body: Any, places: set[str]
) -> None:
    refused = problem(binary(gateway, whole("m-6", **changes), *extra, body=body), 400, "malformed-event")
    assert pointers(refused) == places


def test_an_attribute_that_is_missing_from_the_headers_is_told(gateway: Process) -> None:
    answer = raw(gateway, [("ce-specversion", "1.0"), ("Content-Type", "application/json")], {})
    assert pointers(problem(answer, 400, "malformed-event")) == {"/id", "/source", "/type"}


@pytest.mark.parametrize(
    "headers",
    [
        {"ce_specversion": "1.0", "Content_Type": "text/plain"},
        {"ce_specversion": "1.0", "Content_Type": "application/octet-stream"},
        {"Content_Type": "application/cloudevents"},
        {"Content_Type": "application/cloudevents+xml"},
        {"Content_Type": "application/cloudevents-batch"},
        {"Content_Type": "application/json; charset=iso-8859-1"},
        {"Content_Type": "application/json", "Content_Encoding": "gzip"},
        {"Content_Type": BATCH, "Content_Encoding": "br"},
    ],
)
def test_what_is_not_read_is_415(gateway: Process, headers: dict[str, str]) -> None:
    problem(gateway.post(whole("m-7"), **headers), 415, "unsupported-media-type")


def test_an_array_under_another_media_type_is_told_which_one_is_meant(gateway: Process) -> None:
    for media_type in ("application/json", STRUCTURED):
        assert (
            BATCH
            in problem(gateway.post([whole("m-8")], Content_Type=media_type), 400, "malformed-event")["detail"]
        )


def test_a_batch_is_not_previewed(gateway: Process) -> None:
    answer = gateway.ask("POST", "/v1/events/preview", [whole("m-9")], KEYS["checkout"], Content_Type=BATCH)
    problem(answer, 415, "unsupported-media-type")
