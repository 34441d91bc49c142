"""How a grant is, as people are told: what is wrong with it, what Zalo says beside it, and every cure."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.delivery import Reason
from gateway.core.grant import DEAD, LOST, REFUSED, AccessToken, RefreshToken, Rotated, Trouble, first_grant
from gateway.core.grant_health import cure_of_credentials, health_of, held
from gateway.core.hold import Hold

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
PAIR = Rotated(AccessToken("a"), RefreshToken("r"), timedelta(hours=25))
GRANT = first_grant("main", PAIR, NOON, before=None)
HOLD = Hold("main", Reason.CREDENTIALS, LATER, "app-secret-invalid", "nothing: it waits")


@pytest.mark.parametrize(("kind", "is_final"), [(DEAD, True), (LOST, True), (LOST, False)])
def test_a_grant_that_needs_a_person_is_called_by_that_also_where_the_app_s_secret_is_wrong(
    kind: str, is_final: bool
) -> None:
    grant = GRANT.troubled(Trouble(kind, "why", NOON, is_final))
    told = held(health_of("main", grant, None, LATER), HOLD)
    assert (told.health, told.since) == (kind, NOON)
    assert told.detail == "why; Zalo takes nothing from this app (app-secret-invalid)"
    assert told.cure is not None
    assert "app_secret of account main" in told.cure
    assert cure_of_credentials("main") in told.cure


def test_an_account_without_a_grant_is_told_both_cures_too() -> None:
    told = held(health_of("main", None, None, LATER), HOLD)
    assert told.health == "missing"
    assert "app-secret-invalid" in str(told.detail)
    assert "app_secret" in str(told.cure)
    assert cure_of_credentials("main", has_grant=False) in str(told.cure)


@pytest.mark.parametrize("trouble", [None, Trouble(REFUSED, "busy", NOON, is_final=False)])
def test_a_grant_that_needs_nobody_is_called_by_what_zalo_says(trouble: Trouble | None) -> None:
    grant = GRANT if trouble is None else GRANT.troubled(trouble)
    told = held(health_of("main", grant, None, LATER), HOLD)
    assert (told.health, told.since) == ("app-secret-invalid", LATER)
    assert told.cure == "correct app_secret of account main, and restart the gateway"
