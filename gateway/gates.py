"""What stands in a message's way right now: holds, credentials, quiet hours, the account's rate."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from .core.caller import Bucket
from .core.delivery import Accepted, Deferred, Outcome, Reason, Refused, Uncertain
from .core.grant import REFRESHING, Trouble
from .core.grant_health import cure_of
from .core.hold import Hold, hold_for
from .core.message import Message
from .core.quota import Reserve
from .core.schedule import QuietHours, next_day
from .ports import Ledger, Observer


class AccountRules(msgspec.Struct, frozen=True):
    """What the configuration says of one account's sending."""

    max_per_second: int = 0
    quiet_hours: QuietHours | None = None
    urgent_reserve: int = 0


class Obstacle(msgspec.Struct, frozen=True):
    """Why a message cannot go now, until when, if that is known, and when it is due.

    What waits for a hold is due all the time: it goes as soon as the hold is gone, whoever ends it and whenever.
    """

    reason: Reason
    until: datetime | None = None
    due_at: datetime | None = None


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
        remaining: Callable[[str], int | None],
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._buckets = {account: Bucket(rule.max_per_second) for account, rule in rules.items()}
        self._reserves = {account: Reserve(rule.urgent_reserve) for account, rule in rules.items()}
        self._remaining = remaining
        # Those in which something may wait for the day's end: also what other processes, or one before us, put off.
        self._kept_back = {account for account, reserve in self._reserves.items() if reserve.size}
        self._trouble = trouble
        self._observer = observer
        self._probe_every = probe_every
        self._pause_after_uncertain = pause_after_uncertain
        self._holds: dict[str, Hold] = {}
        self._unstored: dict[str, Hold] = {}  # those that the store could not confirm
        self._uncertain_in_a_row: dict[str, int] = {}
        self._probed_at: dict[str, datetime] = {}
        self._changes_begun = 0
        self._changes_ended = 0

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account that the configuration knows."""
        return tuple(self._rules)

    async def reload(self, now: datetime) -> None:
        """What other processes hold or have let go is known here, and the reverse; what has ended by itself is gone."""
        for hold in list(self._unstored.values()):
            await self._store(hold)
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

    def narrow_holds(self, account: str, now: datetime) -> list[Hold]:
        """What waits although the account sends: the holds on single templates and types."""
        return [hold for hold in self.holds(account) if hold.is_narrow and not hold.is_over(now)]

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
            return _lasting(Reason.NOT_BEFORE, message.not_before)
        if (hold := self.hold_on(message, now)) is not None:
            return Obstacle(hold.reason, hold.until, due_at=hold.until if hold.is_over(now) else None)
        return self.disturbance(message, now)

    def disturbance(self, message: Message, now: datetime) -> Obstacle | None:
        """Quiet hours, the reserve or the rate, which hold back also what is sent to find out whether a hold is over."""
        account, rules = message.account, self._rules[message.account]
        if rules.quiet_hours is not None and not message.ignores_quiet_hours:
            until = rules.quiet_hours.until(now)
            if until is not None:
                return _lasting(Reason.QUIET_HOURS, until)
        if (until := self._reserved_until(message, now)) is not None:
            return _lasting(Reason.QUOTA, until)
        delay = self._buckets[account].take(now)
        if delay > 0:
            return _lasting(Reason.RATE, now + timedelta(seconds=delay))
        if message.mode == "live":
            self._reserves[account].depart(now)
        return None

    def _reserved_until(self, message: Message, now: datetime) -> datetime | None:
        """When the message may go, if what is left of the day is kept for urgent ones; development uses none of it."""
        if message.priority == "urgent" or message.mode == "development":
            return None
        until = self._reserves[message.account].until(self._remaining(message.account), now)
        if until == next_day(now):
            self.keep_back(message.account)
        return until

    def keep_back(self, account: str) -> None:
        """Messages of this account wait for the day's end, or may do so."""
        self._kept_back.add(account)

    def reopened(self, account: str) -> bool:
        """True, once, when more is left of the day than the reserve although messages may wait for the day's end."""
        remaining = self._remaining(account)
        if account not in self._kept_back or remaining is None or remaining <= self._reserves[account].size:
            return False
        self._kept_back.discard(account)
        return True

    def probe_due(self, account: str, now: datetime) -> Hold | None:
        """The pause of the account that one message is to try now; None if there is none.

        What ends at a known moment and what an operator wants is not tried, and nothing without a token; but one
        that was rejected may have been rejected by mistake.
        """
        hold = self.account_hold(account, now)
        if hold is None or hold.until is not None or hold.reason is Reason.OPERATOR:
            return None
        trouble = self._trouble(account, now)
        if trouble is not None and not trouble.is_triable:
            return None
        last = max(self._probed_at.get(account, hold.since), hold.since)
        return None if now < last + self._probe_every else hold

    def note_probe(self, account: str, now: datetime) -> None:
        """One message tries the account's pause now; the next one waits for `probe_every`."""
        self._probed_at[account] = now

    # -- what an outcome means for others --

    async def heed(self, message: Message, outcome: Outcome, now: datetime, *, begun_at: datetime) -> None:
        """What the outcome of an attempt begun then says of its account or template is in force."""
        account = message.account
        if message.mode == "live":
            self._reserves[account].arrive()
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
            case Deferred() if (hold := hold_for(account, message.template_id, outcome, now)) is not None:
                await self.hold(hold)
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
        self._holds[hold.key] = self._unstored[hold.key] = hold
        await self._store(hold)
        self._observer.fact("held", account=hold.account, reason=hold.reason, cause=hold.cause, cure=hold.cure)

    async def _store(self, hold: Hold) -> None:
        self._changes_begun += 1
        try:
            await self._ledger.put_hold(hold)
        finally:
            self._changes_ended += 1
        if self._unstored.get(hold.key) is hold:
            del self._unstored[hold.key]

    async def release(self, hold: Hold, cause: str) -> None:
        """Nothing is held under this hold's key any more, unless a later one has taken its place."""
        if self._holds.get(hold.key) != hold:
            return
        del self._holds[hold.key]
        self._unstored.pop(hold.key, None)
        self._changes_begun += 1
        try:
            await self._ledger.drop_hold(hold.key)
        finally:
            self._changes_ended += 1
        self._observer.fact("released", account=hold.account, reason=hold.reason, cause=cause)


def _lasting(reason: Reason, until: datetime) -> Obstacle:
    """What lasts until then, whatever anybody does."""
    return Obstacle(reason, until, due_at=until)


def _says_enough(held: Hold, later: Hold) -> bool:
    if held.reason is Reason.OPERATOR and later.reason is not Reason.OPERATOR:
        return True
    return held.reason is later.reason and held.until == later.until
