"""What an answer about one message puts in the way of others, and what a person has to do about it."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.delivery import Category, Deferred, DeliveryError, Reason, Scope, Until, Wait
from gateway.core.hold import hold_for

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def deferred(reason: Reason, scope: Scope, until: Until) -> Deferred:
    error = DeliveryError("some-word", Category.TRANSIENT, "", permanent=False, advice="nothing: it waits")
    return Deferred(error, Wait(reason, scope, until))


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        (Reason.BILLING, "top up the ZBS account, or link one"),
        (Reason.CONFIGURATION, "mend the Official Account or the app with Zalo"),
        (Reason.CREDENTIALS, "correct app_secret of the account, and restart the gateway"),
    ],
)
def test_what_needs_a_person_says_so_to_that_person(reason: Reason, cure: str) -> None:
    hold = hold_for("main", "400001", deferred(reason, Scope.ACCOUNT, Until.CURE), NOON)
    assert hold is not None
    assert (hold.account, hold.reason, hold.since, hold.cause, hold.cure) == (
        "main",
        reason,
        NOON,
        "some-word",
        cure,
    )
    assert (hold.template_id, hold.event_type, hold.until, hold.is_narrow) == (None, None, None, False)


def test_a_template_s_quota_holds_the_template_until_it_is_over_by_itself() -> None:
    hold = hold_for("main", "400001", deferred(Reason.QUOTA, Scope.TEMPLATE, Until.NEXT_DAY), NOON)
    assert hold is not None
    assert (hold.template_id, hold.until, hold.is_narrow) == ("400001", NOON + timedelta(hours=12), True)
    assert hold.cure == "nothing to do: it goes on by itself"


@pytest.mark.parametrize(
    ("scope", "until"),
    [(Scope.MESSAGE, Until.NEXT_DAY), (Scope.MESSAGE, Until.BACKOFF), (Scope.ACCOUNT, Until.NEW_GRANT)],
)
def test_what_concerns_one_message_or_a_new_grant_holds_nothing(scope: Scope, until: Until) -> None:
    assert hold_for("main", "400001", deferred(Reason.QUOTA, scope, until), NOON) is None
