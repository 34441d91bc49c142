"""Every problem that a call can meet: its status, its code, and that nothing that comes in is our fault."""

import http.client
import json
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.http.openapi import document
from tests.system.stage import KEYS, Answer, Process, Speaker, Stage, lowered, order, problem, read

pytestmark = pytest.mark.system

STRUCTURED = "application/cloudevents+json"


@pytest.fixture(scope="module")
def gateway(scene: Stage) -> Iterator[Process]:
    scene.write_config(server='max_body = "2KiB"')
    with scene.serving() as process:
        yield process


def pointers(body: Any) -> set[str]:
    return {fault["pointer"] for fault in body["errors"]}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"specversion": 1.0}, "/specversion"),
        ({"data_base64": "e30="}, "/data_base64"),
        ({"id": None}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "x" * 256}, "/id"),
        ({"id": "line\nbreak"}, "/id"),
        ({"source": "\x7f"}, "/source"),
        ({"type": "x" * 256}, "/type"),
        ({"type": None}, "/type"),
        ({"data": None}, "/data"),
        ({"data": [1]}, "/data"),
        ({"data": "text"}, "/data"),
    ],
)
def test_a_wrong_member_is_named_by_its_pointer(gateway: Process, change: Any, pointer: str) -> None:
    assert pointer in pointers(problem(gateway.post(order("a-1") | change), 400, "malformed-event"))


def test_a_structured_event_needs_its_version_and_source(gateway: Process) -> None:
    event = order("a-2")
    del event["source"]
    body = problem(gateway.post(event, Content_Type=STRUCTURED), 400, "malformed-event")
    assert pointers(body) == {"/specversion", "/source"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"id":"a","id":"b","type":"order.paid","data":{}}',
        b'{"id":"a","type":"order.paid","data":{"n":NaN}}',
        b'{"id":"a","type":"order.paid","data":{"n":1e999}}',
        b'{"id":"a","type":"order.paid","data":{"n":18446744073709551616}}',
        b'{"id":"a","type":"order.paid","data":{"n":"\xc3\x28"}}',
        b'{"id":"a","type":"order.paid","data":{"n":"\\ud800"}}',
        b'{"id":"a","type":"order.paid","data":' + b'{"d":' * 70 + b"1" + b"}" * 71,
        b"[" * 2000,
    ],
)
def test_what_is_not_exactly_one_json_object_is_malformed(gateway: Process, raw: bytes) -> None:
    body = problem(gateway.post(raw), 400, "malformed-event")
    assert pointers(body)


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "\x01"])
def test_a_key_that_cannot_name_an_event_is_malformed(gateway: Process, key: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)
    with closing(connection):
        connection.putrequest("POST", "/v1/events")
        body = json.dumps(order("a-key")).encode()
        for name, value in (("authorization", f"Bearer {KEYS['checkout']}"), ("content-type", "application/json")):
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(body)))
        connection.putheader("idempotency-key", key)
        connection.endheaders(body)
        response = connection.getresponse()
        answer = Answer(response.status, lowered(response.headers), read(response.read()))
    assert answer.status == 400
    if key != "\x01":  # which the HTTP parser itself refuses
        problem(answer, 400, "malformed-event")


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic dGVzdA==", "Bearer \xff"])
@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/preview", "/v1/messages", "/v1/messages/x"])
def test_without_a_known_key_nothing_is_said(gateway: Process, authorization: str | None, path: str) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    method = "POST" if "events" in path else "GET"
    answer = gateway.ask(method, path, b"{" if method == "POST" else None, **headers)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_is_read_in_any_case(gateway: Process) -> None:
    assert gateway.ask("GET", "/v1/messages", Authorization=f"bEARER {KEYS['platform']}").status == 200


def test_a_caller_may_send_only_its_own_types_and_an_operator_none(gateway: Process) -> None:
    problem(gateway.post(order("a-3"), "other"), 403, "forbidden-event-type")
    problem(gateway.post(order("a-3"), "platform"), 403, "forbidden-event-type")
    preview = gateway.ask("POST", "/v1/events/preview", order("a-3"), KEYS["other"])
    problem(preview, 403, "forbidden-event-type")


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/events", "/webhooks/zalo/nobody", "/webhooks/zalo"])
def test_an_unknown_path_is_not_found(gateway: Process, path: str) -> None:
    problem(gateway.ask("GET", path), 404, "not-found")
    problem(gateway.ask("POST", path, {}), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages//cancel"),
        ("POST", "/v1/messages//resend"),
        ("POST", "/v1/messages/%2Fcancel"),
        ("POST", "/v1//messages/cancel"),
        ("POST", "//v1/messages/cancel"),
        ("POST", "/v1/messages/cancel/"),
        ("POST", "/v1/accounts//main/resume"),
        ("GET", "/v1/messages/"),
        ("GET", "/v1/accounts/"),
    ],
)
def test_an_id_that_is_empty_is_not_passed_over(gateway: Process, method: str, path: str) -> None:
    body = {"dry_run": True} if method == "POST" else None
    problem(gateway.ask(method, path, body), 401, "unauthenticated")
    assert "empty" in problem(gateway.ask(method, path, body, KEYS["platform"]), 404, "not-found")["detail"]


@pytest.mark.parametrize(
    ("path", "status", "code"), [("event", 404, "not-found"), ("events", 405, "method-not-allowed")]
)
def test_below_v1_whoever_calls_is_asked_for_a_key_first(
    gateway: Process, path: str, status: int, code: str
) -> None:
    problem(gateway.ask("PUT", f"/v1/{path}", {}), 401, "unauthenticated")
    problem(gateway.ask("PUT", f"/v1/{path}", {}, KEYS["checkout"]), status, code)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/messages", "GET, OPTIONS"),
        ("/v1/messages/x", "GET, OPTIONS"),
        ("/v1/messages/x/cancel", "OPTIONS, POST"),
        ("/v1/accounts", "GET, OPTIONS"),
        ("/v1/mappings", "GET, OPTIONS"),
    ],
)
def test_below_v1_also_who_asks_for_the_methods_is_asked_for_a_key(
    gateway: Process, path: str, allowed: str
) -> None:
    for key in (None, "wrong"):
        problem(gateway.ask("OPTIONS", path, key=key), 401, "unauthenticated")
    answer = gateway.ask("OPTIONS", path, key=KEYS["checkout"])
    assert (answer.status, answer.headers["allow"]) == (204, allowed)
    assert gateway.ask("OPTIONS", "/livez").status == 204


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/events", "POST"),
        ("PUT", "/v1/events", "POST"),
        ("DELETE", "/v1/events/preview", "POST"),
        ("GET", "/webhooks/zalo/main", "POST"),
        ("POST", "/v1/messages", "GET"),
        ("DELETE", "/v1/messages/x", "GET"),
        ("POST", "/livez", "GET"),
        ("POST", "/metrics", "GET"),
    ],
)
def test_a_path_says_which_methods_it_takes(gateway: Process, method: str, path: str, allowed: str) -> None:
    answer = gateway.ask(method, path, key=KEYS["checkout"])
    problem(answer, 405, "method-not-allowed")
    assert allowed in answer.headers["allow"]


WITH_A_BODY_OF_OURS = [
    path.format(tracking_id="x", account="main")
    for path, operations in document()["paths"].items()
    if path.startswith("/v1/") and "post" in operations and not path.startswith("/v1/events")
]


@pytest.mark.parametrize("path", WITH_A_BODY_OF_OURS)
@pytest.mark.parametrize(
    ("query", "named"), [("type=order.paid", "`type`"), ("note", "`note`"), ("dry+run=1", "`dry run`")]
)
def test_what_stands_in_the_query_of_a_call_with_a_body_is_told_and_not_passed_over(
    gateway: Process, path: str, query: str, named: str
) -> None:
    for body in (None, {"dry_run": True}):
        told = problem(gateway.ask("POST", f"{path}?{query}", body, KEYS["platform"]), 400, "invalid-request")
        assert named in told["detail"]
        assert "in the body" in told["detail"]


def test_a_body_that_is_too_large_is_refused_before_anything_else_is_looked_at(gateway: Process) -> None:
    problem(gateway.post(b"x" * 2049), 413, "too-large")
    assert gateway.post(b"x" * 2048).status == 400
    problem(gateway.post(b"x" * 2049, Content_Type="text/plain"), 413, "too-large")


def test_a_body_of_untold_length_is_cut_off_at_the_limit(gateway: Process) -> None:
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)
    headers = {"Authorization": f"Bearer {KEYS['checkout']}", "Content-Type": "application/json"}
    with closing(connection):
        connection.request("POST", "/v1/events", iter([b"x" * 1000] * 5), headers, encode_chunked=True)
        response = connection.getresponse()
        problem(Answer(response.status, lowered(response.headers), read(response.read())), 413, "too-large")


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "application/jsonx", ""])
def test_another_media_type_is_not_read(gateway: Process, media_type: str) -> None:
    problem(gateway.post(order("a-4"), Content_Type=media_type), 415, "unsupported-media-type")


def test_an_unmapped_type_is_told_with_the_nearest_that_the_caller_may_send(gateway: Process) -> None:
    body = problem(gateway.post(order("a-6", type="order.payd")), 422, "unmapped-event")
    assert "order.paid" in body["detail"]
    body = problem(gateway.post({**order("a-6"), "type": "bill.isued"}, "other"), 422, "unmapped-event")
    assert "bill.issued" in body["detail"]
    assert "order" not in body["detail"]


def test_each_field_that_could_not_be_filled_is_told(gateway: Process) -> None:
    event = order("a-7")
    del event["data"]["order_id"], event["data"]["total"]
    body = problem(gateway.post(event), 422, "mapping-failed")
    assert {"/data/order_id", "/data/total"} <= pointers(body)


def test_a_value_beyond_the_templates_limits_is_told(gateway: Process) -> None:
    event = order("a-8")
    event["data"]["order_id"] = "X" * 31
    assert pointers(problem(gateway.post(event), 422, "template-constraint")) == {"/data/order_id"}


@pytest.mark.parametrize("phone", ["02838123456", "12", "+1 202 555 0143", ""])
def test_what_is_no_vietnamese_mobile_number_is_told_and_not_shown(gateway: Process, phone: str) -> None:
    body = problem(gateway.post(order("a-9", phone)), 422, "invalid-phone")
    assert pointers(body) == {"/data/customer/phone"}
    assert not phone or phone not in json.dumps({**body, "status": 0})


def test_nothing_that_stands_in_a_path_query_or_header_is_our_fault(gateway: Process) -> None:
    host = urlsplit(gateway.url)
    head = f"Host: x\r\nAuthorization: Bearer {KEYS['platform']}\r\nConnection: close\r\n"
    lines = [
        b"GET /v1/messages/%ff%fe HTTP/1.1",
        b"GET /v1/messages/%00 HTTP/1.1",
        b"GET /v1/messages/\xff\xfe HTTP/1.1",
        b"GET /v1/messages/" + b"x" * 8000 + b" HTTP/1.1",
        b"GET /v1/messages?type=%ff HTTP/1.1",
        b"GET /v1/messages?event_id=%00 HTTP/1.1",
        b"GET /v1/messages?event_id=%ed%a0%80 HTTP/1.1",
        b"GET /v1/messages?cursor=%00 HTTP/1.1",
        b"GET /v1/messages?cursor=s99999999999999999999 HTTP/1.1",
        b"GET /v1/messages?since=0001-01-01T00:00:00%2B14:00 HTTP/1.1",
        b"GET /v1/messages?since=9999-12-31T23:59:59-14:00 HTTP/1.1",
        b"GET /v1/messages?&&=&=x HTTP/1.1",
        b"GET /readyz?verbose=%ff HTTP/1.1",
        b"POST /v1/events?%ff HTTP/1.1",
        b"BREW /v1/events HTTP/1.1",
        b"GET //v1//messages HTTP/1.1",
    ]
    for line in lines:
        with socket.create_connection((host.hostname, host.port), timeout=10) as connection:
            connection.sendall(line + b"\r\n" + head.encode() + b"X-Odd: \xff\xfe\r\n\r\n")
            status = connection.makefile("rb").readline().split()[1]
        assert status < b"500", (line, status)


def test_no_mutation_of_an_event_is_our_fault(gateway: Process) -> None:
    chances = random.Random(11)
    whole = json.dumps(order("a-mutated"), ensure_ascii=False).encode()
    headers = {"Authorization": f"Bearer {KEYS['checkout']}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)) as connection:
        for _ in range(600):
            body = bytearray(whole)
            for _ in range(chances.randint(1, 4)):
                at = chances.randrange(len(body))
                body[at : at + chances.randint(0, 2)] = chances.randbytes(chances.randint(0, 2))
            connection.request("POST", "/v1/events/preview", bytes(body), headers)
            response = connection.getresponse()
            response.read()
            assert response.status in (200, 400, 403, 422), bytes(body)


def test_a_public_door_has_only_what_zalo_calls(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    stage.write_config(server=f"public_port = {port}")
    with stage.serving() as gateway:
        public = Speaker(f"http://127.0.0.1:{port}")
        assert public.ask("GET", "/livez").status == 200
        assert gateway.ask("GET", "/livez").status == 404
        for path in ("/v1/messages", "/metrics", "/readyz", "/schema/openapi.json"):
            for method, key in (("GET", KEYS["platform"]), ("GET", "wrong"), ("OPTIONS", None), ("POST", None)):
                problem(public.ask(method, path, key=key), 404, "not-found")
        problem(public.ask("POST", "/webhooks/zalo/main", {"a": 1}), 401, "unauthenticated")
        problem(gateway.ask("POST", "/webhooks/zalo/main", {"a": 1}), 404, "not-found")
