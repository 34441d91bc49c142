"""An account stops and goes: by an operator's word, and so that operators are told whenever it has stopped or goes again."""

from collections.abc import Collection

from .core.callback import of_pause
from .core.delivery import Reason
from .core.errors import WrongState
from .core.hold import Hold
from .gates import Gates
from .ports import Clock, Ledger, Observer


class Pauses:
    """Holds accounts, their templates and types for operators, and announces what holds a whole account."""

    def __init__(
        self, ledger: Ledger, gates: Gates, clock: Clock, observer: Observer, *, operators: Collection[str]
    ) -> None:
        self._ledger = ledger
        self._gates = gates
        self._clock = clock
        self._observer = observer
        self._operators = operators
        self._untokened: dict[str, Hold] = {}  # how each account that has no token was last seen to be held

    async def pause(
        self, account: str, *, by: str, template_id: str | None = None, event_type: str | None = None
    ) -> None:
        """Nothing of the account (or only of that template or type) is sent until `resume`; what is under way ends."""
        what = {"template_id": template_id, "type": event_type}
        named = "".join(f' {{"{name}": "{value}"}}' for name, value in what.items() if value is not None)
        cure = f"POST /v1/accounts/{account}/resume{named}"
        hold = Hold(account, Reason.OPERATOR, self._clock(), by, cure, template_id, event_type)
        await self._gates.reload(self._clock())
        await self._gates.hold(hold)

    async def resume(
        self, account: str, *, by: str, template_id: str | None = None, event_type: str | None = None
    ) -> None:
        """What held exactly this holds it no more, whoever held it; WrongState where nothing did, and it cannot send."""
        now = self._clock()
        await self._gates.reload(now)
        is_whole = template_id is None and event_type is None
        held = [
            hold
            for hold in self._gates.holds(account)
            if (hold.template_id, hold.event_type) == (template_id, event_type)
        ]
        for hold in held:
            await self._gates.release(hold, f"resumed {by}")
        left = self._gates.account_hold(account, now) if is_whole and not held else None
        if left is not None and not left.is_over(now):
            raise WrongState(f"account {account} cannot send: {left.cause}; the cure is: {left.cure}")

    def paused(self, account: str) -> Hold | None:
        """What keeps the whole account from sending. A refresh that is under way neither stops an account nor lets it go."""
        hold = self._gates.account_hold(account, self._clock())
        if hold is not None and self._is_passing(hold):
            hold = self._untokened.get(account)
        if hold is not None and hold.reason is Reason.CREDENTIALS:
            self._untokened[account] = hold
        else:
            self._untokened.pop(account, None)
        return hold

    async def look(self) -> None:
        """Operators will be told of every account that has been paused, for another reason, or goes again."""
        told = await self._ledger.pauses()  # each time: another process may have told, and died
        for account in self._gates.accounts:
            before, hold = told.get(account), self._gates.account_hold(account, self._clock())
            if hold is not None and self._is_passing(hold):
                if before is not None and before.reason is Reason.CREDENTIALS:
                    self._untokened.setdefault(account, before)  # this process may just have started
            elif _reason(before) is not _reason(hold):
                await self._announce(account, hold, before)

    def _is_passing(self, hold: Hold) -> bool:
        """True if it only says that a refresh is under way: what comes of that is not known yet."""
        return hold.is_over(self._clock())

    async def _announce(self, account: str, hold: Hold | None, before: Hold | None) -> None:
        callbacks = of_pause(self._operators, account, hold, self._clock())
        if not await self._ledger.note_pause(account, hold, before=before, callbacks=callbacks):
            return
        if hold is None:
            self._observer.fact("account-resumed", account=account)
            return
        self._observer.fact(
            "account-paused", account=account, reason=hold.reason, cause=hold.cause, cure=hold.cure
        )


def _reason(hold: Hold | None) -> Reason | None:
    return None if hold is None else hold.reason
