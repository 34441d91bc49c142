"""What can become of a message, each seen over HTTP: every status, every reason to wait, every category of error."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import msgspec
import pytest

from gateway.core.delivery import Category, Reason, State
from gateway.core.view import Status
from gateway.storage.records import read_message, write_message
from tests.system import test_events, test_upstream
from tests.system.commands import edited
from tests.system.snapshots import rewritten, with_copies
from tests.system.stage import KEYS, Answer, Process, Stage, eventually

pytestmark = pytest.mark.system

HTTP: Final = {
    **dict.fromkeys(("queued", "sending", "unknown"), 202),
    **dict.fromkeys(("sent", "delivered", "undelivered", "skipped"), 200),
    **dict.fromkeys(("failed", "expired", "cancelled"), 422),
}
STARTED: Final = datetime.now(UTC).isoformat()
DATA: Final = {
    "310001": 'otp = "482913"',
    "310002": 'customer_name = "An"\norder_id = "DH-1"\nstatus = "Đang giao hàng"',
}
QUICK: Final = "310001"  # the template whose receipt is missed soon


class Ground(msgspec.Struct, frozen=True):
    """Where lives are led: a gateway, and what it runs on."""

    stage: Stage
    gateway: Process

    def order(self, path: str, **body: Any) -> None:
        """An operator has been obeyed."""
        answer = self.gateway.ask("POST", f"/v1/{path}", body, KEYS["platform"])
        assert answer.status in (200, 202), answer


Act = Callable[[Ground, "Life"], None]
Turn = Callable[[Ground, str], None]


def nothing(*_: Any) -> None:
    pass


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One event, what is done to bring its message there, and what is to be seen of it in the end.

    `phone` is the fate of the simulator's number; a life that stops its account has an `account` of its own.
    """

    name: str
    state: State
    phone: str = "delivered"
    reason: Reason | None = None
    category: Category | None = None
    code: str | None = None
    facts: str = "stored"
    settled: bool = True
    account: str = "main"
    template: str = "310002"
    mapping: str = 'expires_after = "40d"'
    first: Act = nothing
    then: Turn = nothing

    @property
    def type(self) -> str:
        return f"life.{self.name}"

    def event(self, ground: Ground, number: int = 0) -> Any:
        data = {"phone": ground.stage.phones[self.phone]}
        return {"id": f"life-{self.name}-{number}", "type": self.type, "time": STARTED, "data": data}

    def mapping_file(self) -> str:
        return f"""summary = "Life"
owner = "tests"
account = "{self.account}"
{self.mapping}
[[template]]
id = "{self.template}"
phone = '{{{{ data.phone }}}}'
[template.data]
{DATA[self.template]}
"""


# -- what is done --


def stopped(ground: Ground, life: Life) -> None:
    ground.order(f"accounts/{life.account}/pause")


def after_many(ground: Ground, life: Life) -> None:
    """The account's share of this second is used up, and of some more to come."""
    for number in range(1, 8):
        post(ground, life.event(ground, number))


def cancelled(ground: Ground, tracking_id: str) -> None:
    ground.order(f"messages/{tracking_id}/cancel", note="tests")


def given_up(ground: Ground, tracking_id: str) -> None:
    seen(ground, tracking_id, "unknown")
    ground.order(f"messages/{tracking_id}/settle", status="failed")


def sent_again(ground: Ground, tracking_id: str) -> None:
    seen(ground, tracking_id, "unknown")
    ground.order(f"messages/{tracking_id}/resend")


def two_days_later(ground: Ground, tracking_id: str) -> None:
    """The message's first attempt was two days ago; over HTTP that would take two days."""
    seen(ground, tracking_id, "unknown")
    with closing(sqlite3.connect(ground.stage.folder / "gateway.db", isolation_level=None)) as store:
        where = "FROM message WHERE tracking_id = ?"
        message = read_message(store.execute(f"SELECT body {where}", [tracking_id]).fetchone()[0])
        (attempt,) = message.unsettled
        long_ago = msgspec.structs.replace(attempt, begun_at=attempt.begun_at - timedelta(days=2))
        aged = write_message(msgspec.structs.replace(message, unsettled=(long_ago,)))
        store.execute("UPDATE message SET body = ? WHERE tracking_id = ?", [aged, tracking_id])


def nearly_all_day() -> str:
    """Quiet hours that began an hour ago in Vietnam, and last until an hour before that."""
    now = datetime.now(UTC) + timedelta(hours=7)
    return f"{now - timedelta(hours=1):%H:%M}-{now - timedelta(hours=2):%H:%M}"


# -- the table --

CLAIMED: Final = "stored claim"
DEFERRED: Final = "stored claim deferred"
REFUSED: Final = "stored claim refused"
UNCERTAIN: Final = "stored claim uncertain"
SOON: Final = 'expires_after = "1m"'  # longer than anybody waits here: what has expired by then did so at once
TOMORROW: Final = 'not_before = "{{ time | plus(days=1) }}"'

# fmt: off
LIVES: Final = (
    # queued
    Life(name="retry", phone="error:-100", state=State.QUEUED, reason=Reason.RETRY,
         category=Category.TRANSIENT, code="zalo-unavailable", facts=DEFERRED),
    Life(name="night", phone="error:-133", state=State.QUEUED, reason=Reason.QUIET_HOURS,
         category=Category.WINDOW, code="quiet-hours", facts=DEFERRED),
    Life(name="our-night", account="quiet", state=State.QUEUED, reason=Reason.QUIET_HOURS),
    Life(name="recipient-quota", phone="error:-1472", state=State.QUEUED, reason=Reason.QUOTA,
         category=Category.QUOTA, code="recipient-daily-limit", facts=DEFERRED),
    Life(name="account-quota", phone="error:-144", account="used-up", state=State.QUEUED, reason=Reason.QUOTA,
         category=Category.QUOTA, code="daily-quota-reached", facts=DEFERRED),
    Life(name="rate", phone="never", account="slow", state=State.QUEUED, reason=Reason.RATE, first=after_many),
    Life(name="secret", phone="error:-104", account="secretless", state=State.QUEUED, reason=Reason.CREDENTIALS,
         category=Category.CREDENTIALS, code="app-secret-invalid", facts=DEFERRED),
    Life(name="token", phone="error:-124", account="tokenless", state=State.QUEUED, reason=Reason.CREDENTIALS,
         category=Category.CREDENTIALS, code="access-token-invalid", facts=DEFERRED),
    Life(name="money", phone="error:-115", account="poor", state=State.QUEUED, reason=Reason.BILLING,
         category=Category.BILLING, code="balance-insufficient", facts=DEFERRED),
    Life(name="setup", phone="error:-120", account="unfit", state=State.QUEUED, reason=Reason.CONFIGURATION,
         category=Category.CONFIGURATION, code="feature-not-permitted", facts=DEFERRED),
    Life(name="operator", account="stopped", state=State.QUEUED, reason=Reason.OPERATOR, first=stopped),
    Life(name="tomorrow", state=State.QUEUED, reason=Reason.NOT_BEFORE,
         mapping=TOMORROW),
    Life(name="queued-again", phone="html", account="again", state=State.QUEUED_AGAIN, reason=Reason.RETRY,
         category=Category.TRANSIENT, code="server-error", facts=UNCERTAIN, mapping='on_unknown = "resend"'),
    # under way: what is silent is told to `main` alone, so that elsewhere the silence lasts
    Life(name="sending", phone="silence", account="silent", state=State.SENDING, facts=CLAIMED),
    Life(name="sending-again", phone="silence", account="silent", state=State.SENDING_AGAIN,
         category=Category.TRANSIENT, code="timed-out", facts=f"{UNCERTAIN} resend claim", then=sent_again),
    # what Zalo took, or may have taken
    Life(name="sent", phone="never", state=State.SENT, facts="stored claim accepted"),
    Life(name="undelivered", phone="never", template=QUICK, state=State.UNDELIVERED,
         facts="stored claim accepted silent"),
    Life(name="late-answer", phone="silence", state=State.DELIVERED, facts="stored claim receipt"),
    Life(name="unknown", phone="html", state=State.UNKNOWN, category=Category.TRANSIENT, code="server-error",
         facts=UNCERTAIN),
    Life(name="unsettled", phone="html", state=State.UNKNOWN, category=Category.TRANSIENT, code="server-error",
         facts=UNCERTAIN, settled=False, then=two_days_later),
    # what came to nothing
    Life(name="values", phone="error:-1121", state=State.FAILED, category=Category.REQUEST,
         code="parameter-too-long", facts=REFUSED),
    Life(name="template", phone="error:-109", state=State.FAILED, category=Category.CONFIGURATION,
         code="template-unknown", facts=REFUSED),
    Life(name="nobody-knows", phone="error:-999", state=State.FAILED, category=Category.UNRECOGNISED,
         code="unrecognised", facts=REFUSED),
    Life(name="settled", phone="html", state=State.FAILED, category=Category.TRANSIENT, code="settled-as-failed",
         facts=f"{UNCERTAIN} settle", then=given_up),
    Life(name="too-late", phone="error:-100", mapping='expires_after = "1s"', state=State.EXPIRED,
         category=Category.TRANSIENT, code="zalo-unavailable", facts=DEFERRED),
    Life(name="too-late-next-month", phone="error:-1471", mapping=SOON, state=State.EXPIRED,
         category=Category.QUOTA, code="recipient-monthly-limit", facts=f"{DEFERRED} expiry"),
    Life(name="too-late-this-night", account="quiet", mapping=SOON, state=State.EXPIRED,
         category=Category.WINDOW, code="waited-too-long", facts="stored expiry"),
    Life(name="cancelled", mapping=TOMORROW, state=State.CANCELLED,
         facts="stored cancel", then=cancelled),
)
# fmt: on
ACCOUNTS: Final = sorted({life.account for life in LIVES} - {"main"})
ACCOUNT_LINES: Final = {"quiet": f'quiet_hours = "{nearly_all_day()}"', "slow": "max_per_second = 1"}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Ground]:
    stage = with_copies(tmp_path_factory.mktemp("lives"), simulator)
    rewritten(stage, QUICK, timeout=1000)
    for life in LIVES:
        (stage.folder / "mappings" / f"{life.type}.toml").write_text(life.mapping_file())
    stage.write_config(zalo='read_timeout = "2s"', delivery='receipt_grace = "500ms"')
    lines = [f"[accounts.{name}]\n{of_app(stage)}\n{ACCOUNT_LINES.get(name, '')}\n" for name in ACCOUNTS]
    edited(
        stage.config, ("[accounts.main]", "".join(lines) + "[accounts.main]"), ('"order.*"', '"order.*", "life.*"')
    )
    for account in ACCOUNTS:
        grant = stage.simulator.ask("GET", "/__sim/credentials").body["grant"]
        done = stage.command_here("token", "import", account, given=json.dumps(grant).encode())
        assert done.returncode == 0, done.stderr
    with stage.serving() as gateway:
        yield Ground(stage, gateway)
    simulator.ask("DELETE", "/__sim/faults")


def of_app(stage: Stage) -> str:
    return "\n".join(f'{name} = "{stage.credentials[name]}"' for name in ("app_id", "app_secret", "oa_id"))


def post(ground: Ground, event: Any) -> Answer:
    """What is said as soon as the event is durable."""
    return ground.gateway.post(event, Prefer="wait=0")


def seen(ground: Ground, tracking_id: str, status: str) -> Any:
    """The message, once it has this status."""
    return eventually(lambda: (it := ground.gateway.message(tracking_id))["status"] == status and it)


def told(message: Any) -> tuple[Any, ...]:
    """What the table says of a life, as the message says it."""
    error = message["error"] or {"category": None, "code": None}
    return message["status"], message["reason"], message["settled"], error["category"], error["code"]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_this_is_what_becomes_of_it(ground: Ground, life: Life) -> None:
    """The message comes to what the table says, by that way, and whoever posts the event again is answered so."""
    life.first(ground, life)
    answer = post(ground, life.event(ground))
    tracking_id = answer.message["tracking_id"]
    life.then(ground, tracking_id)
    expected = (life.state.status, life.reason, life.settled, life.category, life.code)
    message = eventually(lambda: told(it := ground.gateway.message(tracking_id)) == expected and it)
    facts = [line["fact"] for line in message["timeline"]]
    assert facts[: len(life.facts.split())] == life.facts.split()
    again = post(ground, life.event(ground))
    assert (again.status, again.headers["idempotency-replayed"]) == (HTTP[life.state.status], "true")
    if again.status == 422:
        assert again.body["code"] == (life.code if life.state is State.FAILED else life.state.status)
        assert again.body["message"]["status"] == life.state.status


ELSEWHERE: Final[dict[State | Reason | Category, Callable[..., None]]] = {
    State.SKIPPED: test_events.test_an_event_for_which_no_template_is_meant_is_skipped,
    Category.RECIPIENT: test_events.test_what_zalo_refuses_for_good_is_422_with_its_code_and_the_whole_message,
    Reason.UPSTREAM: test_upstream.test_an_outage_costs_a_handful_of_unknown_messages_and_all_others_go_out_after_it,
}


@pytest.mark.parametrize("kind", [State, Reason, Category])
def test_nothing_that_can_become_of_a_message_is_left_out(
    kind: type[State] | type[Reason] | type[Category],
) -> None:
    """Whatever has a name in the code has a life in the table, or a test elsewhere."""
    led = {value for life in LIVES for value in (life.state, life.reason, life.category)}
    assert set(kind) - led - set(ELSEWHERE) == set()


def test_every_status_has_an_answer_over_http() -> None:
    assert {state.status for state in State} == set(get_args(Status)) == set(HTTP)
