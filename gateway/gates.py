"""What stands in a message's way right now: holds, credentials, quiet hours, the account's rate."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from .core.caller import Bucket
from .core.delivery import Reason
from .core.grant import Trouble
from .core.hold import Hold
from .core.message import Message
from .core.schedule import QuietHours
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
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._buckets = {account: Bucket(rule.max_per_second) for account, rule in rules.items()}
        self._trouble = trouble
        self._observer = observer
        self._holds: dict[str, Hold] = {}

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account that the configuration knows."""
        return tuple(self._rules)

    async def reload(self, now: datetime) -> None:
        """What other processes hold or have let go is known here; what has ended by itself is gone."""
        self._holds = {hold.key: hold for hold in await self._ledger.holds()}
        for hold in [one for one in self._holds.values() if one.is_over(now)]:
            await self.release(hold, "its time is over")

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
        return Hold(account, Reason.CREDENTIALS, trouble.since, trouble.detail, cure_of_credentials(account))

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

    async def hold(self, hold: Hold) -> None:
        """The hold is in force, here and durably; an older one on the same that still stands is left as it was."""
        held = self._holds.get(hold.key)
        if held is not None and held.reason is hold.reason and held.until == hold.until:
            return
        self._holds[hold.key] = hold
        await self._ledger.put_hold(hold)
        self._observer.fact("held", account=hold.account, reason=hold.reason, cause=hold.cause, cure=hold.cure)

    async def release(self, hold: Hold, cause: str) -> None:
        """Nothing is held under this hold's key any more."""
        if self._holds.pop(hold.key, None) is not None:
            await self._ledger.drop_hold(hold.key)
            self._observer.fact("released", account=hold.account, reason=hold.reason, cause=cause)


def cure_of_credentials(account: str) -> str:
    """The command that gives an account a working grant."""
    return f"zns-gateway token import {account} --replace < grant.json"
