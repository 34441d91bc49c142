"""The short form of tests.fuzz: some thousands of hostile requests of three kinds, and nothing that must not come out."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fuzz.described import run_described
from tests.fuzz.findings import Report
from tests.fuzz.ground import CANARY_PHONES, Ground, alarm_of, ground
from tests.fuzz.judge import PROBLEM, Judge
from tests.fuzz.raw import Raw
from tests.fuzz.structured import run_structured
from tests.fuzz.wire import Reply
from tests.system.stage import KEYS

pytestmark = pytest.mark.system

SEED = 20261123
MOST_MIB = 300.0
GOOD = {"type": "urn:x", "title": "t", "status": 400, "detail": "d", "code": "c", "retryable": False}


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The processes that all three kinds ask."""
    with ground(tmp_path_factory.mktemp("fuzz")) as it:
        yield it


@pytest.fixture
def report() -> Report:
    return Report(SEED)


@pytest.fixture(scope="module")
def judge(field: Ground) -> Judge:
    return Judge(field.canaries())


def found(report: Report) -> str:
    """The findings, to be read by a person."""
    return "\n".join(map(str, report.findings.values()))


def statuses(report: Report) -> set[str]:
    return {result for _, _, result in report.counts}


def test_mutated_bytes_are_answered_and_break_nothing(field: Ground, report: Report, judge: Judge) -> None:
    asyncio.run(Raw(field, report, judge).run(2500))
    assert found(report) == ""
    assert {"200", "202", "400", "401", "403", "404", "405", "413", "415", "422"} <= statuses(report), (
        report.table()
    )


def test_events_headers_and_queries_are_answered_as_the_contract_says(
    field: Ground, report: Report, judge: Judge
) -> None:
    run_structured(field, report, judge, 900)
    assert found(report) == ""
    assert {"400", "403", "422"} <= statuses(report), report.table()


def test_every_operation_answers_as_it_is_described(field: Ground, report: Report, judge: Judge) -> None:
    run_described(field, report, judge, 150)
    assert found(report) == ""
    assert {"200", "400", "401"} <= statuses(report), report.table()


def test_the_gateway_lives_small_and_silent_and_has_sent_nothing_twice(field: Ground) -> None:
    assert field.complaints_at_the_end(MOST_MIB) == []
    assert field.ledger()["messages"] != []


def answered(status: int, body: Any, media_type: bytes = PROBLEM, **headers: str) -> Reply:
    """An answer as a gateway could give it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Reply(status, ((b"content-type", media_type), *told), raw)


BAD = [
    answered(500, GOOD | {"status": 500}),
    answered(503, GOOD | {"status": 503, "code": "down", "retryable": True}, retry_after="5"),
    answered(400, b"Invalid HTTP request received.", b"text/plain"),
    answered(400, {name: value for name, value in GOOD.items() if name != "code"}),
    answered(404, GOOD),
    answered(429, GOOD | {"status": 429, "retryable": True}),
    answered(400, b'{"cut": '),
    answered(400, b'{"latin": "\xe9"}'),
    answered(400, GOOD | {"detail": f"is {CANARY_PHONES[0]}"}),
    answered(400, GOOD | {"detail": f"is {CANARY_PHONES[0][:4]}.{CANARY_PHONES[0][4:7]}.{CANARY_PHONES[0][7:]}"}),
    answered(400, GOOD, x_key=KEYS["checkout"]),
    answered(200, {"tracking_id": "0" * 26, "event": {}, "phone": "84912345678"}, b"application/json"),
]


@pytest.mark.parametrize("reply", BAD, ids=range(len(BAD)))
def test_the_judge_complains(judge: Judge, reply: Reply) -> None:
    assert judge.verdict(reply).complaint is not None


def test_the_judge_is_content_with_a_problem_and_with_a_callers_own_words(judge: Judge) -> None:
    assert judge.verdict(answered(400, GOOD)).complaint is None
    own = {"tracking_id": "0" * 26, "event": {"id": CANARY_PHONES[0]}, "phone": "84*****8264"}
    assert judge.verdict(answered(200, own, b"application/json")).complaint is None


@pytest.mark.parametrize("line", [b"Traceback (most recent call last):", b'{"event":"turn-failed"}', b"[]"])
def test_a_bad_line_of_the_log_is_an_alarm(line: bytes) -> None:
    assert alarm_of(line) is not None
    assert alarm_of(b'{"event":"attempted","level":"info"}') is None
