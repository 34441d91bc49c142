"""The one table of HTTP statuses: complete, and the contract's."""

from collections.abc import Iterator

import msgspec
import pytest

from gateway.core import errors
from gateway.core.delivery import State
from gateway.core.errors import CannotStart, Fault, GatewayError
from gateway.core.view import view
from gateway.http import problems
from tests.http.messages import failed, message

CONTRACT = {
    "malformed-event": 400,
    "invalid-request": 400,
    "unauthenticated": 401,
    "forbidden-event-type": 403,
    "forbidden": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "wrong-state": 409,
    "too-large": 413,
    "unsupported-media-type": 415,
    "unmapped-event": 422,
    "mapping-failed": 422,
    "template-constraint": 422,
    "invalid-phone": 422,
    "idempotency-conflict": 422,
    "too-many-requests": 429,
    "not-accepted": 503,
    "unavailable": 503,
}


def every(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for one in kind.__subclasses__():
        yield one
        yield from every(one)


def made(kind: type[GatewayError]) -> GatewayError:
    if kind is errors.TooManyRequests:
        return errors.TooManyRequests("too fast", retry_after_s=7)
    if kind is errors.IdempotencyConflict:
        return errors.IdempotencyConflict("was used", tracking_id="t-1")
    return kind("what is wrong", errors=[Fault("/data/x", "is wrong")])


def test_every_error_that_a_call_can_meet_has_a_row_and_no_other_has_one() -> None:
    assert set(problems.STATUSES) == {kind for kind in every(GatewayError) if not issubclass(kind, CannotStart)}


def test_the_table_is_the_contracts() -> None:
    assert {kind.code: row.status for kind, row in problems.STATUSES.items()} == CONTRACT


@pytest.mark.parametrize("kind", problems.STATUSES, ids=lambda kind: kind.code)
def test_a_problem_has_every_member_that_it_must_have(kind: type[GatewayError]) -> None:
    error = made(kind)
    told = msgspec.json.decode(problems.encode(problems.problem_of(error)))
    members = ["type", "title", "status", "detail", "code", "retryable"]
    further = ["tracking_id"] if kind is errors.IdempotencyConflict else ["errors"] if error.errors else []
    assert list(told) == members + further
    assert told["status"] == CONTRACT[kind.code]
    assert told["retryable"] is (CONTRACT[kind.code] in (429, 503))
    assert told["type"].endswith(kind.code)


@pytest.mark.parametrize("kind", problems.STATUSES, ids=lambda kind: kind.code)
def test_whoever_may_come_back_is_told_when(kind: type[GatewayError]) -> None:
    headers = problems.headers_of(made(kind))
    assert ("retry-after" in headers) is problems.STATUSES[kind].is_retryable
    assert ("www-authenticate" in headers) is (kind is errors.Unauthenticated)
    if kind is errors.TooManyRequests:
        assert headers["retry-after"] == "7"


def test_a_failed_message_is_a_problem_with_the_code_of_its_error_and_the_whole_message() -> None:
    shown = view(failed(), failed().updated_at)
    told = msgspec.json.decode(problems.encode(problems.problem_of_message(State.FAILED, shown)))
    assert (told["code"], told["status"], told["retryable"]) == ("recipient-not-on-zalo", 422, False)
    assert told["tracking_id"] == failed().tracking_id
    assert told["message"] == msgspec.json.decode(problems.encode(shown))


@pytest.mark.parametrize("state", [State.EXPIRED, State.CANCELLED])
def test_what_came_to_nothing_here_is_a_problem_under_its_own_name(state: State) -> None:
    shown = view(message(state), message(state).updated_at)
    told = problems.problem_of_message(state, shown)
    assert (told.code, told.status, told.message) == (state.value, 422, shown)
