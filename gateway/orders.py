"""What operators order: a message is cancelled, sent again or settled; one, or all that a query finds.

The timeline says who ordered it and why. Sent again is not sent: the message is queued, and goes when its turn comes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import msgspec

from .core.birth import born
from .core.delivery import State
from .core.errors import CannotOpen, GatewayError, NotFound, Unavailable, UnmappedEvent, WrongState, clip
from .core.mapping import MappingSet
from .core.message import Letter, Message
from .core.orders import Order, Verdict, cancelled, check, resent, settled, statuses_for
from .ports import Clock, Ledger, Observer, Query, Tell

_AT_ONCE: Final = 64  # so few that whoever else wants something of the store or of this process gets a turn
_MOST_TOLD: Final = 100

Step = Callable[[str, str], Awaitable[Message]]
"""What is done to the message of a tracking_id, and the cause that its timeline tells."""


class Refusal(msgspec.Struct, frozen=True):
    """A message that was meant and that nothing was done to, and why."""

    tracking_id: str
    code: str
    detail: str


class Report(msgspec.Struct, frozen=True):
    """What became of an order to many: `refused` are the first of the `refused_count`."""

    count: int
    done: int
    refused: tuple[Refusal, ...]
    refused_count: int


class Orders:
    """Carries out what operators order."""

    def __init__(
        self,
        ledger: Ledger,
        mappings: Callable[[], MappingSet],
        clock: Clock,
        observer: Observer,
        tell: Tell,
        *,
        grace: timedelta,
    ) -> None:
        self._ledger = ledger
        self._mappings = mappings
        self._clock = clock
        self._observer = observer
        self._tell = tell
        self._grace = grace
        self._under_way: set[asyncio.Task[Report]] = set()
        self._is_closed = False

    async def drain(self) -> None:
        """No order to many goes on: what it has done is done, and the rest is reported as refused."""
        self._is_closed = True
        if self._under_way:
            await asyncio.wait(self._under_way)

    # -- one --

    async def cancel(self, tracking_id: str, cause: str) -> Message:
        """The message will not be sent; raises NotFound and WrongState, and then nothing has changed, as all of these."""
        while True:
            message = await self._load(tracking_id)
            after = cancelled(message, self._clock(), cause=cause)
            if await self._replaced(message, after, None, "cancel", cause):
                return after

    async def resend(self, tracking_id: str, cause: str) -> Message:
        """The message is queued once more, filled by the mapping in force; also raises what refuses its event now."""
        return await self._resend(self._mappings(), tracking_id, cause)

    async def settle(self, tracking_id: str, verdict: Verdict, cause: str) -> Message:
        """The unknown message is what a person found out that it is."""
        while True:
            message = await self._load(tracking_id)
            after = settled(message, verdict, self._clock(), cause=cause)
            if await self._replaced(message, after, None, "settle", cause):
                return after

    async def _resend(self, mappings: MappingSet, tracking_id: str, cause: str) -> Message:
        while True:
            message = await self._load(tracking_id)
            check(message, "resend")
            filled, letter = await self._fill(message, mappings)
            after = resent(message, filled, self._clock(), cause=cause)
            if await self._replaced(message, after, letter, "resend", cause):
                return after

    async def _load(self, tracking_id: str) -> Message:
        message = await self._ledger.load(tracking_id)
        if message is None:
            raise NotFound("there is no message with this tracking_id")
        return message

    async def _fill(self, message: Message, mappings: MappingSet) -> tuple[Message, Letter]:
        """What the mapping in force makes of the message's event now."""
        mapping = mappings.mappings.get(message.event_type)
        if mapping is None:
            raise UnmappedEvent(f"no mapping is in force for {clip(message.event_type)} any more")
        try:
            sealed = await self._ledger.letter(message.tracking_id)
        except CannotOpen:
            raise WrongState(
                "no key in secrets.keys opens the event of this message; put the key back that sealed it"
            ) from None
        if sealed is None:
            raise NotFound("there is no message with this tracking_id any more")
        filled, letter = born(
            sealed.event,
            mapping,
            mappings.templates,
            tracking_id=message.tracking_id,
            caller=message.caller,
            mode=message.mode,
            now=self._clock(),
            grace=self._grace,
        )
        if filled.state is State.SKIPPED:
            raise WrongState("the mapping in force skips the event of this message: no template's `when` holds")
        return filled, letter

    async def _replaced(
        self, before: Message, after: Message, letter: Letter | None, order: str, cause: str
    ) -> bool:
        """True once `after` is durable and everybody knows; False if the message had changed in the meantime."""
        if not await self._ledger.save(after, expected=before.version, letter=letter):
            return False
        self._observer.fact("ordered", message=after, doing=order, cause=cause)
        self._tell(after)
        return True

    # -- many --

    async def count(self, order: Order, query: Query) -> int:
        """How many messages the query finds in a status that allows the order."""
        return len(await self._ledger.matching(query, statuses_for(order)))

    async def carry_out(self, order: Order, query: Query, cause: str, *, expect: int | None) -> Report:
        """What became of every message that the query finds in a status that allows the order.

        WrongState: there are more or fewer than `expect` (None: however many there are), and nothing was done. It goes on when whoever ordered it
        has gone away, and is logged at its end.
        """
        if self._is_closed:
            raise Unavailable("the gateway is stopping; nothing was done")
        task = asyncio.create_task(self._carry_out(order, query, cause, expect))
        self._under_way.add(task)
        task.add_done_callback(self._end)
        return await asyncio.shield(task)

    def _end(self, task: "asyncio.Task[Report]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, in case that nobody waits for it any more

    async def _carry_out(self, order: Order, query: Query, cause: str, expect: int | None) -> Report:
        # One set of mappings for all of them, whatever is loaded meanwhile.
        step = self.cancel if order == "cancel" else partial(self._resend, self._mappings())
        meant = await self._ledger.matching(query, statuses_for(order))
        if expect is not None and len(meant) != expect:
            raise WrongState(
                f"{len(meant)} messages allow this now, not {expect} as expected; nothing was done: count them again"
            )
        refused: list[Refusal] = []
        is_store_there = True
        for start in range(0, len(meant), _AT_ONCE):
            some = meant[start : start + _AT_ONCE]
            if not is_store_there or self._is_closed:
                refused += _left(meant[start:], is_store_there=is_store_there)
                break
            ends = await asyncio.gather(*(self._try(step, one, cause) for one in some))
            refused += [end for end in ends if end is not None]
            is_store_there = not any(end is not None and end.code == Unavailable.code for end in ends)
        done = len(meant) - len(refused)
        self._observer.fact(
            "ordered-many", doing=order, cause=cause, count=done, outcome=f"{len(refused)} of {len(meant)} refused"
        )
        return Report(len(meant), done, tuple(refused[:_MOST_TOLD]), len(refused))

    async def _try(self, step: Step, tracking_id: str, cause: str) -> Refusal | None:
        """Why the order could not be carried out on this one; None: it was."""
        try:
            await step(tracking_id, cause)
        except GatewayError as error:
            return Refusal(tracking_id, error.code, error.detail)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one message, the others have their turn
            self._observer.fact("turn-failed", error=error)
            return Refusal(tracking_id, "unavailable", "something went wrong on our side, and it has been logged")
        return None


def _left(tracking_ids: Sequence[str], *, is_store_there: bool) -> list[Refusal]:
    why = "the gateway is stopping" if is_store_there else "the store cannot be reached"
    return [Refusal(one, Unavailable.code, f"{why}; nothing was done to this one") for one in tracking_ids]
