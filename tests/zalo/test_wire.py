"""Bodies are read with the verdict of the contract, and reading never raises, whatever the bytes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.delivery import Accepted, Category, Deferred, Quota, Reason, Refused, Uncertain, Until
from gateway.core.silence import Delivered, Pending, Unclear
from gateway.zalo import codes, oauth, wire


def send_answer(**changes: Any) -> bytes:
    data = {
        "msg_id": "a4d0243feee163bd3af2",
        "sent_time": "1626926349402",
        "sending_mode": "1",
        "quota": {"dailyQuota": "500", "remainingQuota": "499"},
    }
    return json.dumps({"error": 0, "message": "Success", "data": data | changes}).encode()


# Writing


def test_a_send_is_written_as_text_only() -> None:
    body = wire.write_send(
        phone="84987654321",
        template_id="1",
        template_data={"tên": "Nguyễn"},
        tracking_id="t",
        development=False,
    )
    assert json.loads(body) == {
        "phone": "84987654321",
        "template_id": "1",
        "template_data": {"tên": "Nguyễn"},
        "tracking_id": "t",
    }


def test_the_mode_is_said_only_in_development() -> None:
    body = wire.write_send(phone="84", template_id="1", template_data={}, tracking_id="t", development=True)
    assert json.loads(body)["mode"] == "development"


def test_half_a_character_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        wire.write_send(phone="84", template_id="1", template_data={"a": "\ud800"}, tracking_id="t")


def test_the_appsecret_proof_is_the_one_of_the_vector() -> None:
    expected = "c7a7a56a58d03b05def128144d755b6c5bd4ba6b88fbfd8a59a909c862e52d7b"
    assert wire.appsecret_proof("test-app-secret", "test-access-token") == expected


# Accepted


def test_a_success_is_accepted_with_time_and_quota() -> None:
    assert wire.read_send(200, send_answer()) == Accepted(
        "a4d0243feee163bd3af2", datetime(2021, 7, 22, 3, 59, 9, 402000, tzinfo=UTC), Quota(500, 499)
    )


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ({"dailyQuota": 500, "remainingQuota": 0}, Quota(500, 0)),
        ({"dailyQuota": None, "remainingQuota": "7"}, Quota(None, 7)),
        ({"dailyQuota": "many"}, None),
        ({}, None),
        (None, None),
        ("500", None),
        ({"dailyQuota": -1, "remainingQuota": True}, None),
    ],
)
def test_a_quota_may_be_text_a_number_null_or_nothing(quota: Any, expected: Quota | None) -> None:
    outcome = wire.read_send(200, send_answer(quota=quota))
    assert isinstance(outcome, Accepted)
    assert outcome.quota == expected


@pytest.mark.parametrize("sent_time", [None, "", "soon", 0, -1, 1626926349, 10**17, 10**30, True, 1.5, [], "1e12"])
def test_an_absurd_time_is_none(sent_time: Any) -> None:
    outcome = wire.read_send(200, send_answer(sent_time=sent_time))
    assert isinstance(outcome, Accepted)
    assert outcome.sent_at is None


@pytest.mark.parametrize("msg_id", [None, "", "  ", [], {}, True, 1.5, "a\nb", "x" * 129, -5])
def test_a_success_without_a_usable_msg_id_is_uncertain(msg_id: Any) -> None:
    outcome = wire.read_send(200, send_answer(msg_id=msg_id))
    assert isinstance(outcome, Uncertain)
    assert outcome.error.code == "answer-without-msg-id"


def test_a_success_may_come_as_text_and_with_any_status_below_500() -> None:
    for status in (200, 201, 302, 400, 429, 499):
        for error in ("0", 0):
            body = json.dumps({"error": error, "data": {"msg_id": 77}}).encode()
            assert wire.read_send(status, body) == Accepted("77")


# Refused and deferred


@pytest.mark.parametrize("number", sorted(codes.TABLE))
@pytest.mark.parametrize("development", [False, True])
def test_every_number_decides_whatever_the_status_says(number: int, development: bool) -> None:
    code = codes.for_number(number, development=development)
    for status, error in ((200, number), (400, str(number)), (403, number), (429, number)):
        body = json.dumps({"error": error, "message": "words", "data": None}).encode()
        outcome = wire.read_send(status, body, development=development)
        assert isinstance(outcome, Refused | Deferred)
        assert (outcome.error.code, outcome.error.category) == (code.code, code.category)
        assert outcome.error.zalo is not None
        assert (outcome.error.zalo.error, outcome.error.zalo.message) == (number, "words")
        if isinstance(outcome, Deferred):
            assert outcome.wait == code.wait
        else:
            assert (code.wait, outcome.blocks_template) == (None, code.blocks_template)


def test_a_number_that_nobody_knows_is_final() -> None:
    outcome = wire.read_send(200, b'{"error":-9999,"message":"?"}')
    assert isinstance(outcome, Refused)
    assert (outcome.error.category, outcome.error.permanent) == (Category.UNRECOGNISED, True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error":-32,"message":"limit"}', b'{"error":"slow"}'])
def test_http_429_without_a_number_of_the_table_waits(body: bytes) -> None:
    outcome = wire.read_send(429, body)
    assert isinstance(outcome, Deferred)
    assert (outcome.wait.reason, outcome.wait.until, outcome.retry_after_s) == (
        Reason.RATE,
        Until.BACKOFF,
        None,
    )


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", None),
        ("-1", None),
        ("86400", 3600),
        ("9" * 30, None),
        ("soon", None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_kept_within_an_hour(said: str, seconds: int | None) -> None:
    outcome = wire.read_send(429, b"", retry_after=said)
    assert isinstance(outcome, Deferred)
    assert outcome.retry_after_s == seconds


# Uncertain


NOT_ZALOS = [
    b"",
    b"null",
    b"[]",
    b"0",
    b'"error"',
    b"{",
    b"<html></html>",
    b"\xff\xfe{\x00}\x00",
    b'\xef\xbb\xbf{"error":0}',
    b'{"error":0,"data":{"msg_id":"\xff"}}',
    b'{"error":NaN}',
    b'{"error":-Infinity}',
    b'{"error":null}',
    b'{"error":true}',
    b'{"error":-118.0}',
    b'{"error":"-118 "}',
    b'{"error":"\xd9\xa1"}',
    b'{"error":{}}',
    b'{"message":"Success","data":{"msg_id":"1"}}',
    b'{"error":-118,"error":0,"data":{"msg_id":"1"}}',
    b'{"error":0,"data":{"msg_id":"1","msg_id":"2"}}',
    b'{"error":' + b"9" * 5000 + b"}",
    b'{"error":' + b"9" * 30 + b"}",
    b'{"error":0,"data":' + b"[" * 30_000,
    b'{"error":0,"data":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b'{"error":-118}{"error":0}',
]


@pytest.mark.parametrize("body", NOT_ZALOS)
@pytest.mark.parametrize(
    ("status", "code"),
    [(200, "unreadable-answer"), (302, "redirected"), (404, "unreadable-answer"), (502, "server-error")],
)
def test_what_is_no_answer_of_zalos_is_uncertain(body: bytes, status: int, code: str) -> None:
    outcome = wire.read_send(status, body)
    assert isinstance(outcome, Uncertain)
    assert (outcome.error.code, outcome.error.category) == (code, Category.TRANSIENT)


@pytest.mark.parametrize("body", [send_answer(), b'{"error":-118}'])
def test_a_server_error_is_uncertain_even_with_a_number(body: bytes) -> None:
    assert isinstance(wire.read_send(500, body), Uncertain)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "error",
        "message",
        "data",
        "msg_id",
        "sent_time",
        "quota",
        "dailyQuota",
        "status",
        "delivery_time",
        "access_token",
        "refresh_token",
        "expires_in",
        "error_name",
        "event_name",
        "timestamp",
        "tracking_id",
    ]
)
ZALO_LIKE = st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON)))
BODIES = st.binary(max_size=200) | ZALO_LIKE.map(lambda document: json.dumps(document).encode())


@given(st.integers(min_value=0, max_value=999), BODIES, st.booleans())
def test_reading_never_raises_and_accepts_only_with_a_msg_id(status: int, body: bytes, development: bool) -> None:
    outcome = wire.read_send(status, body, development=development, private=["ab"], retry_after="1")
    if isinstance(outcome, Accepted):
        assert 200 <= status < 500
        assert outcome.msg_id.isprintable()
        json.dumps(outcome.msg_id).encode()
    wire.read_status(status, body)
    wire.read_quota(status, body)
    wire.read_data(status, body)
    oauth.read_grant(status, body, "presented")


# What may be shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("phone 84987654321 is bad", "phone *** is bad"),
        ("phone +84 987-654-321 is bad", "phone +*** is bad"),
        ("otp 48 for Lan", "otp 48 for ***"),
        ("code 123456", "code ***"),
        ("two\r\nlines\x1b[31m\x00", "two  lines [31m"),
        (
            "template data customer_name is break max length",
            "template data customer_name is break max length",
        ),
        ("token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9 bad", "token *** bad"),
        ("x " * 300, ("x " * 100)[:199] + "…"),
    ],
)
def test_zalos_words_are_shown_without_what_is_private(said: str, shown: str) -> None:
    body = json.dumps({"error": -112, "message": said}).encode()
    outcome = wire.read_send(200, body, private=["123456", "Lan", "48", ""])
    assert isinstance(outcome, Refused)
    assert outcome.error.zalo is not None
    assert outcome.error.zalo.message == shown


# Status, quota, data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"status": 1, "delivery_time": "1600328011517"},
            Delivered(datetime(2020, 9, 17, 7, 33, 31, 517000, UTC)),
        ),
        ({"status": "1"}, Delivered(None)),
        ({"status": 0, "delivery_time": None}, Pending()),
    ],
)
def test_a_status_is_read(data: Any, expected: Delivered | Pending) -> None:
    assert wire.read_status(200, json.dumps({"error": 0, "data": data}).encode()) == expected


@pytest.mark.parametrize("status", [-1, 2, None, "delivered", True, 1.0])
def test_any_other_status_is_unclear(status: Any) -> None:
    assert isinstance(
        wire.read_status(200, json.dumps({"error": 0, "data": {"status": status}}).encode()), Unclear
    )


@pytest.mark.parametrize("number", [-124, -216, -220])
def test_a_question_with_a_dead_access_token_wants_a_new_grant(number: int) -> None:
    unclear = wire.read_quota(200, json.dumps({"error": number, "message": "Access token invalid"}).encode())
    assert isinstance(unclear, Unclear)
    assert (unclear.wants_new_grant, unclear.error.category) == (True, Category.CREDENTIALS)


def test_a_quota_is_read_from_text_and_from_numbers() -> None:
    for daily, remaining in (("500", "499"), (500, 499)):
        body = json.dumps({"error": 0, "data": {"dailyQuota": daily, "remainingQuota": remaining}}).encode()
        assert wire.read_quota(200, body) == Quota(500, 499)
    assert wire.read_quota(200, b'{"error":0,"data":{"dailyQuota":null}}') == Quota(None, None)
