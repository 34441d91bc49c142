"""Only what Zalo signed is believed, and what it says is read without ever raising."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.news import Kind, News
from gateway.core.receipt import Receipt
from gateway.ports import Signed
from gateway.zalo.webhook import (
    MAX_BODY_BYTES,
    Keys,
    Unreadable,
    judge_of,
    read_webhook,
    sign,
    verify,
)

from .test_wire import BODIES, NOT_ZALOS

APP_ID = "2074138120372622546"
SECRET = "test-oa-secret"
BODY = (
    b'{"sender":{"id":"2893352839501541173"},"recipient":{"id":"84123456789"},'
    b'"event_name":"user_received_message","message":{"delivery_time":"1602960467432",'
    b'"msg_id":"15a0cc0bbb13bd4ce403","tracking_id":"tracking_id"},"app_id":"2074138120372622546",'
    b'"timestamp":"1602560967477"}'
)
HEADER = b"mac=116d216bed99bd9280d522f2d593a2177bab7957dd91417a7b0fe00aefffa430"


def hashed(*parts: bytes) -> bytes:
    return b"mac=" + hashlib.sha256(b"".join(parts)).hexdigest().encode()


def test_the_signature_of_the_vector_is_right() -> None:
    assert len(BODY) == 272
    assert sign(BODY, APP_ID, SECRET) == HEADER
    assert verify(HEADER, BODY, APP_ID, [SECRET])


@pytest.mark.parametrize("secrets", [[SECRET, "new"], ["new", SECRET], ["", SECRET]])
def test_any_configured_secret_will_do(secrets: list[str]) -> None:
    assert verify(HEADER, BODY, APP_ID, secrets)


def test_a_timestamp_may_be_a_number() -> None:
    body = b'{"event_name":"x","timestamp":1602560967477}'
    assert verify(hashed(APP_ID.encode(), body, b"1602560967477", SECRET.encode()), body, APP_ID, [SECRET])


TIMESTAMP = b"1602560967477"
SIGNED_AT = datetime(2020, 10, 13, 3, 49, 27, 477000, UTC)
ID, KEY = APP_ID.encode(), SECRET.encode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"mac=",
        HEADER.upper(),
        b"mac=" + HEADER[4:].upper(),
        HEADER[4:],
        b"mac=" + HEADER,
        HEADER + b"," + HEADER,
        HEADER + b" " + HEADER,
        HEADER + b"\n",
        b" " + HEADER,
        HEADER[:-1],
        HEADER + b"0",
        b"MAC=" + HEADER[4:],
        "mac=é".encode(),
        b"mac=\xff\xfe" + b"0" * 62,
        b"m" * 1_000_000,
        hashed(ID, BODY, TIMESTAMP),  # no secret
        hashed(BODY, TIMESTAMP, KEY),  # no app id
        hashed(ID, BODY, KEY),  # no timestamp
        hashed(ID, TIMESTAMP, BODY, KEY),  # another order
        hashed(b"2893352839501541173", BODY, TIMESTAMP, KEY),  # the Official Account's id first
        hashed(ID, BODY, TIMESTAMP, b"other"),
        hashed(ID, json.dumps(json.loads(BODY)).encode(), TIMESTAMP, KEY),  # not the bytes as they came
        b"mac=" + hmac.new(KEY, ID + BODY + TIMESTAMP, hashlib.sha256).hexdigest().encode(),
        b"mac=" + hmac.new(KEY, BODY, hashlib.sha256).hexdigest().encode(),
    ],
)
def test_any_other_signature_is_wrong(header: bytes | None) -> None:
    assert not verify(header, BODY, APP_ID, [SECRET])


@pytest.mark.parametrize("secrets", [[], [""], ["other"], ["", ""]])
def test_without_the_right_secret_nothing_is_right(secrets: list[str]) -> None:
    assert not verify(HEADER, BODY, APP_ID, secrets)
    assert not verify(hashed(ID, BODY, TIMESTAMP), BODY, APP_ID, secrets)


def test_the_same_hash_fits_no_other_split_of_the_same_bytes() -> None:
    """Without separators `body` + `timestamp` could be cut elsewhere; strict JSON has only one cut."""
    longer = BODY + TIMESTAMP[:5]
    assert hashed(ID, longer, TIMESTAMP[5:], KEY) == HEADER
    assert not verify(HEADER, longer, APP_ID, [SECRET])


def test_the_app_id_of_the_body_is_not_believed() -> None:
    forged = BODY.replace(APP_ID.encode(), b"666")
    assert not verify(hashed(b"666", forged, TIMESTAMP, KEY), forged, APP_ID, [SECRET])


@pytest.mark.parametrize(
    "timestamp", [b'""', b"null", b"-1", b"1.5", b"true", b'"1 "', b'"\\u0661"', b"1e3", b"[]"]
)
def test_a_body_without_a_plain_timestamp_is_wrong(timestamp: bytes) -> None:
    body = b'{"timestamp":' + timestamp + b"}"
    for value in (timestamp, timestamp.strip(b'"'), b""):
        assert not verify(hashed(ID, body, value, KEY), body, APP_ID, [SECRET])


def test_a_body_over_the_limit_is_wrong_however_well_signed() -> None:
    body = b'{"timestamp":"1","x":"' + b"x" * MAX_BODY_BYTES + b'"}'
    assert not verify(hashed(ID, body, b"1", KEY), body, APP_ID, [SECRET])
    assert read_webhook(body) == Unreadable()


@given(st.data())
def test_one_changed_byte_anywhere_makes_it_wrong(data: st.DataObject) -> None:
    target, other = data.draw(st.sampled_from([(BODY, "body"), (HEADER, "header")]))
    position = data.draw(st.integers(min_value=0, max_value=len(target) - 1))
    byte = data.draw(st.integers(min_value=0, max_value=255).filter(lambda value: value != target[position]))
    changed = target[:position] + bytes([byte]) + target[position + 1 :]
    header, body = (changed, BODY) if other == "header" else (HEADER, changed)
    assert not verify(header, body, APP_ID, [SECRET])


OTHER_OA = "2893352839501541173"  # the sender of BODY
ACCOUNTS = {
    "main": Keys(APP_ID, [SECRET], "111"),
    "second": Keys(APP_ID, [SECRET], OTHER_OA),
    "elsewhere": Keys("another app", [SECRET], OTHER_OA),
}


def subject(
    accounts: dict[str, Keys], account: str, *, body: bytes = BODY, header: bytes | None = HEADER
) -> str | None:
    verdict = judge_of(accounts)(account, header, b"ZNS", body)
    return verdict.account if isinstance(verdict, Signed) else None


def test_an_event_is_about_the_official_account_that_it_names_among_those_of_the_app() -> None:
    assert subject(ACCOUNTS, "main") == "second", "an app has one webhook address"
    assert subject(ACCOUNTS, "second") == "second"
    assert subject(ACCOUNTS, "elsewhere") is None
    assert subject({**ACCOUNTS, "second": Keys("another app", [SECRET], OTHER_OA)}, "main") == "main"
    assert subject({**ACCOUNTS, "second": Keys(APP_ID, ["another"], OTHER_OA)}, "main") == "main"
    assert subject({**ACCOUNTS, "main": Keys(APP_ID, [SECRET], OTHER_OA)}, "main") == "main"
    assert subject({**ACCOUNTS, "second": Keys(APP_ID, [SECRET], "222")}, "main") == "main"
    assert subject({**ACCOUNTS, "second": Keys(APP_ID, [SECRET])}, "main") == "main"


@pytest.mark.parametrize(
    "members",
    [
        {"event_name": "change_template_status", "oa_id": OTHER_OA},
        {"event_name": "change_oa_daily_quota", "oaId": OTHER_OA},
        {"event_name": "user_feedback", "oa_id": int(OTHER_OA)},
        {"event_name": "user_received_message", "sender": {"id": OTHER_OA}},
    ],
)
def test_wherever_the_official_account_is_named_it_is_found(members: Any) -> None:
    body = event(**members)
    assert subject(ACCOUNTS, "main", body=body, header=sign(body, APP_ID, SECRET)) == "second"
    other = event(**members, sender={"id": []}) if "sender" not in members else event(**members, oa_id={})
    assert subject(ACCOUNTS, "main", body=other, header=sign(other, APP_ID, SECRET)) == "second"


@given(st.none() | st.binary(), BODIES | st.sampled_from(NOT_ZALOS))
def test_checking_and_reading_never_raise(header: bytes | None, body: bytes) -> None:
    assert not verify(header, body, APP_ID, [SECRET])
    read_webhook(body, header)


# Reading


def event(**members: Any) -> bytes:
    return json.dumps({"timestamp": "1602560967477", "app_id": APP_ID} | members).encode()


def told(body: bytes, server: bytes | None = None) -> dict[str, Any]:
    """What the news in the body say, but for the key; they are of the time at which Zalo signed."""
    news = read_webhook(body, server)
    assert isinstance(news, News)
    assert news.at == SIGNED_AT or news.kind is Kind.FEEDBACK
    said = msgspec.structs.asdict(msgspec.structs.replace(news, key="", at=None))
    return {name: value for name, value in said.items() if value not in ("", None)}


def test_a_receipt_is_read() -> None:
    delivered_at = datetime(2020, 10, 17, 18, 47, 47, 432000, UTC)
    assert read_webhook(BODY) == Receipt("15a0cc0bbb13bd4ce403", "tracking_id", delivered_at)


def test_the_chat_message_of_the_same_name_is_no_receipt() -> None:
    message = {"msg_id": "chat-1", "text": "hello"}
    body = event(event_name="user_received_message", message=message, user_id_by_app="1")
    assert told(body) == {"kind": "other", "subject": "user_received_message"}
    assert told(body, b"OA OpenAPI") == told(body)
    assert read_webhook(body, b"ZNS") == Receipt("chat-1", None, None)


@pytest.mark.parametrize(
    "message", [None, [], {}, {"delivery_time": "1602960467432"}, {"delivery_time": 1, "msg_id": ""}]
)
def test_a_receipt_without_an_id_is_none(message: Any) -> None:
    body = event(event_name="user_received_message", message=message)
    assert told(body, b"ZNS") == {"kind": "other", "subject": "user_received_message"}


def test_a_receipt_with_an_absurd_time_is_still_one() -> None:
    body = event(event_name="user_received_message", message={"delivery_time": "x", "tracking_id": "t"})
    assert read_webhook(body) == Receipt(None, "t", None)


def test_a_change_of_a_template_is_read() -> None:
    status = {"prev_status": "PENDING_REVIEW", "new_status": "REJECT"}
    reason = "Sai tên, gọi 0912345678"
    body = event(event_name="change_template_status", template_id="31239", status=status, reason=reason)
    changed = {"before": "PENDING_REVIEW", "after": "REJECT", "note": "Sai tên, gọi ***"}
    assert told(body) == {"kind": "template-status", "subject": "31239", **changed}
    body = event(event_name="change_template_quality", template_id=31239, quality="HIGH")
    assert told(body) == {"kind": "template-quality", "subject": "31239", "after": "HIGH"}


@pytest.mark.parametrize(("before", "after"), [(1000, 2000), ("1000", "2000")])
def test_a_change_of_the_quota_is_read(before: Any, after: Any) -> None:
    body = event(event_name="change_oa_daily_quota", oaId="1", quota={"prev_value": before, "new_value": after})
    assert told(body) == {"kind": "quota", "before": "1000", "after": "2000"}


FEEDBACK = {
    "note": "tốt, gọi 0912 345 678",
    "rate": 5,
    "msg_id": "7e4c",
    "tracking_id": "1956",
    "feedbacks": ["vui vẻ", 1],
}


def test_a_rating_is_read() -> None:
    said = {"subject": "7e4c", "tracking_id": "1956", "after": "5", "note": "tốt, gọi ***\nvui vẻ"}
    assert told(event(event_name="user_feedback", message=FEEDBACK)) == {"kind": "feedback", **said}


def test_what_zalo_repeats_has_the_same_key_and_what_is_new_has_another() -> None:
    status = {"prev_status": "ENABLE", "new_status": "DISABLE"}
    first = event(event_name="change_template_status", template_id="1", status=status)
    others = [
        event(event_name="change_template_status", template_id="2", status=status),
        event(event_name="change_template_status", template_id="1", status=status, timestamp="1602560967478"),
        event(event_name="change_template_quality", template_id="1", quality="LOW"),
        event(event_name="user_feedback", message=FEEDBACK),
        event(event_name="user_feedback", message=FEEDBACK | {"msg_id": "7e4d"}),
        event(event_name="user_send_text"),
        event(event_name="user_send_text", message={}),
    ]
    assert key(first) == key(first[:-1] + b', "more": 1}')
    assert len({key(body) for body in (first, *others)}) == len(others) + 1


def key(body: bytes) -> str:
    news = read_webhook(body)
    assert isinstance(news, News)
    return news.key


@pytest.mark.parametrize(
    ("name", "expected"),
    [("user_send_text", "user_send_text"), (None, ""), (["x"], ""), ("a\nb", ""), ("", "")],
)
def test_every_other_event_is_kept_by_its_name(name: Any, expected: str) -> None:
    assert told(event(event_name=name)).get("subject", "") == expected


@pytest.mark.parametrize("message", [None, [], {}, {"rate": 5}, {"msg_id": ""}])
def test_a_rating_of_nothing_is_kept_as_it_came(message: Any) -> None:
    assert told(event(event_name="user_feedback", message=message))["kind"] == "other"


HALF = "half of a character: \ud83d"


@pytest.mark.parametrize(
    "members",
    [
        {"event_name": "user_feedback", "message": FEEDBACK | {"note": HALF}},
        {"event_name": "user_feedback", "message": FEEDBACK | {"feedbacks": [HALF]}},
        {"event_name": "user_feedback", "message": FEEDBACK | {"submit_time": HALF}},
        {"event_name": "user_feedback", "message": FEEDBACK | {"msg_id": HALF, "tracking_id": HALF}},
        {
            "event_name": "change_template_status",
            "template_id": "1",
            "status": {"new_status": "X"},
            "reason": HALF,
        },
        {"event_name": "change_template_status", "template_id": HALF, "status": {"new_status": "X"}},
        {"event_name": "change_template_status", "template_id": "1", "status": {"new_status": HALF}},
        {"event_name": "change_template_quality", "template_id": "1", "quality": HALF},
        {"event_name": HALF, "timestamp": HALF},
        {
            "event_name": "user_received_message",
            "message": {"msg_id": HALF, "tracking_id": "t", "delivery_time": HALF},
        },
    ],
)
def test_half_a_character_comes_into_nothing_that_is_kept(members: Any) -> None:
    msgspec.json.encode(read_webhook(event(**members), b"ZNS"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"a":1,"a":2}'])
def test_what_is_no_object_is_unreadable(body: bytes) -> None:
    assert read_webhook(body) == Unreadable()
