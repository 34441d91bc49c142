"""What stands in a message's way right now: holds, credentials, quiet hours, the account's rate."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from .core.caller import Bucket
from .core.delivery import Accepted, Deferred, Outcome, Reason, Refused, Scope, Uncertain, Until
from .core.grant import LOST, REFRESHING, REFUSED, UNPROVEN, Trouble
from .core.hold import Hold
from .core.message import Message
from .core.schedule import QuietHours, earliest_try
from .ports import Ledger, Observer


class AccountRules(msgspec.Struct, frozen=True):
    """What the configuration says of one account's sending."""

    max_per_second: int = 0
    quiet_hours: QuietHours | None = None


class Obstacle(msgspec.Struct, frozen=True):
    """Why a message cannot go now, and until when, if that is known."""

    reason: Reason
    until: datetime | None = None


class Gates:
    """Decides what may go; the holds are the Ledger's, kept here as they were when last looked at."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Mapping[str, AccountRules],
        trouble: Callable[[str, datetime], Trouble | None],
        observer: Observer,
        *,
        probe_every: timedelta,
        pause_after_uncertain: int,
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._buckets = {account: Bucket(rule.max_per_second) for account, rule in rules.items()}
        self._trouble = trouble
        self._observer = observer
        self._probe_every = probe_every
        self._pause_after_uncertain = pause_after_uncertain
        self._holds: dict[str, Hold] = {}
        self._uncertain_in_a_row: dict[str, int] = {}
        self._probed_at: dict[str, datetime] = {}
        self._changes_begun = 0
        self._changes_ended = 0

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account that the configuration knows."""
        return tuple(self._rules)

    async def reload(self, now: datetime) -> None:
        """What other processes hold or have let go is known here; what has ended by itself is gone."""
        ended = self._changes_ended
        found = await self._ledger.holds()
        if ended == self._changes_begun == self._changes_ended:
            # Otherwise a change of our own is newer than what was found; the next look tells.
            self._holds = {hold.key: hold for hold in found}
        for hold in [one for one in self._holds.values() if one.is_over(now)]:
            await self.release(hold, "its time is over")

    # -- what may go --

    def holds(self, account: str) -> list[Hold]:
        """The holds on this account, its templates and types."""
        return [hold for hold in self._holds.values() if hold.account == account]

    def account_hold(self, account: str, now: datetime) -> Hold | None:
        """What keeps the whole account from sending: a hold, or credentials that are missing or doubtful."""
        for hold in self._holds.values():
            if hold.covers(account, None, "") and not hold.is_over(now):
                return hold
        trouble = self._trouble(account, now)
        if trouble is None:
            return None
        # What waits for a refresh that is under way may go at any moment, so its caller goes on waiting.
        until = now if trouble.kind == REFRESHING else None
        return Hold(
            account, Reason.CREDENTIALS, trouble.since, trouble.detail, cure_of(trouble, account), until=until
        )

    def hold_on(self, message: Message, now: datetime) -> Hold | None:
        """The hold that covers this message, the widest first."""
        if (hold := self.account_hold(message.account, now)) is not None:
            return hold
        for hold in self._holds.values():
            if hold.covers(message.account, message.template_id, message.event_type) and not hold.is_over(now):
                return hold
        return None

    def obstacle(self, message: Message, now: datetime) -> Obstacle | None:
        """Why the message cannot go now; None, and then its share of the account's rate is taken."""
        if message.not_before is not None and message.not_before > now:
            return Obstacle(Reason.NOT_BEFORE, message.not_before)
        if (hold := self.hold_on(message, now)) is not None:
            return Obstacle(hold.reason, hold.until)
        return self.disturbance(message, now)

    def disturbance(self, message: Message, now: datetime) -> Obstacle | None:
        """Quiet hours or the rate, which hold back also what is sent to find out whether a hold is over."""
        rules = self._rules[message.account]
        if rules.quiet_hours is not None and not message.ignores_quiet_hours:
            until = rules.quiet_hours.until(now)
            if until is not None:
                return Obstacle(Reason.QUIET_HOURS, until)
        delay = self._buckets[message.account].take(now)
        return Obstacle(Reason.RATE, now + timedelta(seconds=delay)) if delay > 0 else None

    def probe_due(self, account: str, now: datetime) -> Hold | None:
        """The pause of the account that one message is to try now, which counts as tried; None if there is none.

        What ends at a known moment and what an operator wants is not tried, and nothing without a token; but one
        that was refused before it had ever worked may have been refused by mistake.
        """
        hold = self.account_hold(account, now)
        if hold is None or hold.until is not None or hold.reason is Reason.OPERATOR:
            return None
        trouble = self._trouble(account, now)
        if trouble is not None and trouble.kind != UNPROVEN:
            return None
        last = max(self._probed_at.get(account, hold.since), hold.since)
        if now < last + self._probe_every:
            return None
        self._probed_at[account] = now
        return hold

    # -- what an outcome means for others --

    async def heed(self, message: Message, outcome: Outcome, now: datetime, *, begun_at: datetime) -> None:
        """What the outcome of an attempt begun then says of its account or template is in force."""
        account = message.account
        if isinstance(outcome, Uncertain):
            await self._count_uncertain(account, outcome, now)
            return
        if isinstance(outcome, Accepted) or outcome.error.zalo is not None:
            self._uncertain_in_a_row[account] = 0
        match outcome:
            case Accepted():
                await self._resume(message, begun_at)
            case Refused() if outcome.blocks_template:
                self._observer.fact("template-blocked", template=message.template_id, account=account)
            case Deferred(error, wait) if wait.scope is not Scope.MESSAGE and wait.until is not Until.NEW_GRANT:
                template_id = message.template_id if wait.scope is Scope.TEMPLATE else None
                until = earliest_try(wait.until, now)
                await self.hold(
                    Hold(account, wait.reason, now, error.code, error.advice, template_id=template_id, until=until)
                )
            case _:
                pass

    async def _resume(self, message: Message, begun_at: datetime) -> None:
        """A success ends what held the message, unless it had left already when the hold came, or an operator holds."""
        for hold in self.holds(message.account):
            is_covered = hold.covers(message.account, message.template_id, message.event_type)
            if is_covered and hold.reason is not Reason.OPERATOR and begun_at > hold.since:
                await self.release(hold, "a message went through")

    async def _count_uncertain(self, account: str, outcome: Uncertain, now: datetime) -> None:
        count = self._uncertain_in_a_row.get(account, 0) + 1
        self._uncertain_in_a_row[account] = count
        if self._pause_after_uncertain and count >= self._pause_after_uncertain:
            cure = "nothing to do: one message is tried now and then, and the first success resumes all"
            await self.hold(Hold(account, Reason.UPSTREAM, now, outcome.error.code, cure))

    async def hold(self, hold: Hold) -> None:
        """The hold is in force, here and durably; the one on the same that still stands is left if it says as much.

        What an operator holds, only an operator's word replaces.
        """
        held = self._holds.get(hold.key)
        if held is not None and not held.is_over(hold.since) and _says_enough(held, hold):
            return
        self._holds[hold.key] = hold
        self._changes_begun += 1
        try:
            await self._ledger.put_hold(hold)
        finally:
            self._changes_ended += 1
        self._observer.fact("held", account=hold.account, reason=hold.reason, cause=hold.cause, cure=hold.cure)

    async def release(self, hold: Hold, cause: str) -> None:
        """Nothing is held under this hold's key any more, unless a later one has taken its place."""
        if self._holds.get(hold.key) != hold:
            return
        del self._holds[hold.key]
        self._changes_begun += 1
        try:
            await self._ledger.drop_hold(hold.key)
        finally:
            self._changes_ended += 1
        self._observer.fact("released", account=hold.account, reason=hold.reason, cause=cause)


def _says_enough(held: Hold, later: Hold) -> bool:
    if held.reason is Reason.OPERATOR and later.reason is not Reason.OPERATOR:
        return True
    return held.reason is later.reason and held.until == later.until


def cure_of(trouble: Trouble, account: str) -> str:
    """What a person can do about the trouble of an account's grant: the exact command, where there is one."""
    if trouble.is_final or trouble.kind == LOST:
        return cure_of_credentials(account)
    if trouble.kind == REFUSED:
        return f"look at accounts.{account}.app_id and app_secret, and at the app at Zalo; it is asked for again by itself"
    return "nothing to do: it is asked for again by itself"


def cure_of_credentials(account: str) -> str:
    """The command that gives an account a working grant."""
    return f"zns-gateway token import {account} --replace < grant.json"
