"""What CloudEvents' own SDK sends, in every mode that it has, is understood by a real `serve --simulator`."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v03.event import CloudEvent as CloudEvent03
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import conversion as older
from cloudevents.v1.http import CloudEvent as OlderCloudEvent

from tests.system.stage import PATIENCE_S, Answer, Process, eventually, lowered, problem

pytestmark = pytest.mark.system

BATCH = "application/cloudevents-batch+json"
SUBJECT = 'Đơn "gấp" 100% \\ %41 + 😀'
REGION = "Hà Nội"
MAPPING = """
summary = "Order paid"
owner = "team-checkout"
account = "main"
[[template]]
id = "7895417a7d3f9461cd2e"
phone = '{{ data.phone }}'
[template.data]
customer_name = '{{ subject }}'
order_id = '{{ khuvuc }}'
total = '{{ data.total | vnd }}'
paid_at = '{{ time | local("%H:%M %d/%m/%Y") }}'
payment_method = '{{ data.note }}'
"""
CONFIG = """
[server]
port = 0
[store]
url = "sqlite:///{folder}/gateway.db"
[accounts.main]
[callers.checkout]
events = ["order.*"]
"""
Sent = tuple[Mapping[str, str], bytes]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("cloudevents")
    (folder / "mappings").mkdir()
    (folder / "mappings" / "order.paid.toml").write_text(MAPPING)
    config = folder / "gateway.toml"
    config.write_text(CONFIG.format(folder=folder))
    process = Process(["--config", str(config), "serve", "--simulator"], folder / "gateway.log")
    yield process
    process.stop()


def post(gateway: Process, sent: Sent, path: str = "/v1/events") -> Answer:
    """The answer to what the SDK made, sent as it made it."""
    headers = {"Authorization": "Bearer simulator-checkout", **sent[0]}
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=PATIENCE_S) as client:
        answer = client.post(path, content=sent[1], headers=headers)
    return Answer(answer.status_code, lowered(answer.headers), answer.json())


def attributes(event_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": event_id,
        "source": "/cửa-hàng/Đà Nẵng",
        "type": "order.paid",
        "time": datetime(2026, 11, 23, 15, 0, tzinfo=timezone(timedelta(hours=7))),
        "subject": SUBJECT,
        "khuvuc": REGION,
        **more,
    }


def data() -> dict[str, Any]:
    return {"phone": "0912345678", "total": 1_250_000, "note": "Ví điện tử"}


def event(event_id: str, **more: Any) -> CloudEvent:
    return CloudEvent(attributes(event_id, **more), data())


def structured(of: CloudEvent | CloudEvent03) -> Sent:
    message = http.to_structured_event(of)
    return message.headers, message.body


def binary(of: CloudEvent | CloudEvent03) -> Sent:
    message = http.to_binary_event(of)
    return message.headers, message.body


def binary_with_its_type(of: CloudEvent) -> Sent:
    return binary(CloudEvent({**of.get_attributes(), "datacontenttype": "application/json"}, of.get_data()))


def older_event(of: CloudEvent) -> OlderCloudEvent:
    return OlderCloudEvent({**of.get_attributes(), "time": "2026-11-23T15:00:00+07:00"}, of.get_data())


def older_structured(of: CloudEvent) -> Sent:
    return older.to_structured(older_event(of))


MODES = [structured, binary, binary_with_its_type, older_structured]


@pytest.mark.parametrize("mode", MODES)
def test_an_event_of_the_sdk_is_sent(gateway: Process, mode: Callable[[CloudEvent], Sent]) -> None:
    event_id = f"sdk {mode.__name__} số 1"
    answer = post(gateway, mode(event(event_id)))
    assert (answer.status, answer.body["status"]) == (200, "sent"), answer
    assert answer.body["event"] == {"id": event_id, "source": "/cửa-hàng/Đà Nẵng", "type": "order.paid"}
    eventually(lambda: post_again(gateway, mode, event_id)["status"] == "delivered")


def post_again(gateway: Process, mode: Callable[[CloudEvent], Sent], event_id: str) -> Any:
    again = post(gateway, mode(event(event_id)))
    assert again.headers["idempotency-replayed"] == "true"
    return again.body


@pytest.mark.parametrize("mode", MODES)
def test_a_mapping_reads_every_attribute_as_it_was_written(
    gateway: Process, mode: Callable[[CloudEvent], Sent]
) -> None:
    shown = post(gateway, mode(event("sdk-shown")), "/v1/events/preview").body
    assert shown["faults"] == []
    assert shown["template_data"] == {
        "customer_name": SUBJECT,
        "order_id": REGION,
        "total": "1.250.000đ",
        "paid_at": "15:00 23/11/2026",
        "payment_method": "Ví điện tử",
    }


def test_one_event_in_all_modes_is_one_message(gateway: Process) -> None:
    answers = [post(gateway, mode(event("sdk-same"))) for mode in MODES]
    results = post(gateway, batch(event("sdk-same"))).body["results"]
    replays = [each.headers.get("idempotency-replayed") for each in answers]
    assert replays == [None, "true", "true", "true"]
    assert [(it["http"], it["replayed"]) for it in results] == [(200, True)]
    told = [*(each.body for each in answers), *(it["message"] for it in results)]
    assert len({message["tracking_id"] for message in told}) == 1
    assert {message["attempts"] for message in told} == {1}


def batch(*events: CloudEvent) -> Sent:
    """The SDK has no batches; this is CloudEvents' batch format of what it writes."""
    return {"content-type": BATCH}, b"[" + b",".join(JSONFormat().write(each) for each in events) + b"]"


def test_a_batch_of_the_sdks_events_is_decided_one_by_one(gateway: Process) -> None:
    events = [
        event("sdk-b1"),
        event("sdk-b2", type="order.unheard"),
        event("sdk-b3", type="bill.issued"),
        event("sdk-b1"),
        event("sdk-b4"),
    ]
    answer = post(gateway, batch(*events))
    assert answer.status == 202
    results = answer.body["results"]
    assert [it["http"] // 100 for it in results] == [2, 4, 4, 2, 2]
    assert [results[at]["problem"]["code"] for at in (1, 2)] == ["unmapped-event", "forbidden-event-type"]
    assert [results[at]["replayed"] for at in (0, 3, 4)] == [False, True, False]
    assert [results[at]["message"]["event"]["id"] for at in (0, 3, 4)] == ["sdk-b1", "sdk-b1", "sdk-b4"]
    for event_id in ("sdk-b1", "sdk-b4"):
        eventually(lambda: post_again(gateway, binary, event_id)["status"] == "delivered")  # noqa: B023


def test_what_the_sdk_adds_by_itself_is_an_id_and_the_time(gateway: Process) -> None:
    own = {name: value for name, value in attributes("").items() if name not in ("id", "time")}
    made = CloudEvent(own, data())
    answer = post(gateway, binary(made))
    assert (answer.status, answer.body["event"]["id"]) == (200, made.get_id())
    made_at = made.get_time()
    assert made_at is not None
    shown = post(gateway, binary(made), "/v1/events/preview").body["template_data"]["paid_at"]
    assert shown == made_at.astimezone(timezone(timedelta(hours=7))).strftime("%H:%M %d/%m/%Y")


def test_the_older_api_writes_headers_as_they_are(gateway: Process) -> None:
    plain = attributes("sdk-older", source="/shop", subject="Don 100%25 gap", khuvuc="Ha Noi")
    assert post(gateway, older.to_binary(older_event(CloudEvent(plain, data())))).status == 200
    shown = post(gateway, older.to_binary(older_event(CloudEvent(plain, data()))), "/v1/events/preview").body
    assert shown["template_data"]["customer_name"] == "Don 100% gap"
    bare = attributes("sdk-bare", source="/shop", subject="100% bare", khuvuc="Ha Noi")
    refusal = post(gateway, older.to_binary(older_event(CloudEvent(bare, data()))))
    (fault,) = problem(refusal, 400, "malformed-event")["errors"]
    assert fault["pointer"] == "/subject"
    assert "%25" in fault["detail"]


@pytest.mark.parametrize("mode", [structured, binary])
def test_an_event_of_an_older_version_is_refused(gateway: Process, mode: Callable[[Any], Sent]) -> None:
    old = CloudEvent03({**attributes("sdk-03"), "specversion": "0.3"}, data())
    faults = problem(post(gateway, mode(old)), 400, "malformed-event")["errors"]
    assert [fault["pointer"] for fault in faults] == ["/specversion"]


def test_data_in_bytes_is_taken_in_binary_mode_only(gateway: Process) -> None:
    raw = JSONFormat().write_data(data(), None)
    as_bytes = CloudEvent(attributes("sdk-bytes"), raw)
    faults = problem(post(gateway, structured(as_bytes)), 400, "malformed-event")["errors"]
    assert "/data_base64" in {fault["pointer"] for fault in faults}
    assert post(gateway, binary(as_bytes)).status == 200
    assert post(gateway, structured(event("sdk-bytes"))).headers["idempotency-replayed"] == "true"


def test_other_data_than_json_is_refused_in_both_modes(gateway: Process) -> None:
    text = CloudEvent(attributes("sdk-text", datacontenttype="text/plain"), "xin chào")
    problem(post(gateway, binary(text)), 415, "unsupported-media-type")
    faults = problem(post(gateway, structured(text)), 400, "malformed-event")["errors"]
    assert {fault["pointer"] for fault in faults} == {"/datacontenttype", "/data"}


def test_the_time_in_utc_ends_with_z(gateway: Process) -> None:
    noon = event("sdk-utc", time=datetime(2026, 11, 23, 5, 0, tzinfo=UTC))
    assert binary(noon)[0]["ce-time"] == "2026-11-23T05:00:00Z"
    shown = post(gateway, binary(noon), "/v1/events/preview").body["template_data"]
    assert shown["paid_at"] == "12:00 23/11/2026"
