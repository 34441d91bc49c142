"""A batch of events: each decided on its own, all accepted ones durable before the answer, nobody waits for Zalo."""

import asyncio
from typing import Final

import msgspec

from gateway.core.caller import Caller
from gateway.core.errors import GatewayError, NotAccepted
from gateway.core.event import Event
from gateway.core.mapping import MappingSet
from gateway.core.view import MessageView

from . import problems
from .cloudevents import read_batch
from .doors import Answer, Doors, refusal_of, status_of
from .preferences import Patience
from .problems import Problem

# So much of a batch is begun before other requests get their turn: some ten milliseconds' work.
_EVENTS_IN_A_ROW: Final = 50
_BYTES_IN_A_ROW: Final = 32 << 10


class ResultView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one event of a batch would have been answered alone: `http`, with its message or a problem."""

    http: int
    replayed: bool | None = None
    message: MessageView | None = None
    problem: Problem | None = None


class BatchView(msgspec.Struct, frozen=True):
    """What became of each event of a batch, in the order given."""

    results: tuple[ResultView, ...]


async def post_batch(doors: Doors, caller: Caller, body: bytes, wish: Patience) -> Answer:
    """202 with a result for each event; raises MalformedEvent or TooLarge for what is no batch."""
    limits = doors.limits
    # In a thread: reading megabytes would keep everybody else waiting.
    events = await asyncio.to_thread(read_batch, body, max_count=limits.max_batch, max_length=limits.max_body)
    mapping_set = doors.mappings.in_force  # one set for the whole request, whatever is loaded meanwhile
    deciding: list[asyncio.Task[ResultView]] = []
    in_a_row = max(1, min(_EVENTS_IN_A_ROW, _BYTES_IN_A_ROW * len(events) // len(body)))
    for number, event in enumerate(events):
        if number % in_a_row == 0:
            await asyncio.sleep(0)
        deciding.append(asyncio.create_task(_decide(doors, caller, event, mapping_set)))
    results = tuple(await asyncio.gather(*deciding))
    headers = {"preference-applied": wish.applied} if wish.applied == "respond-async" else {}
    return Answer(202, problems.encode(BatchView(results)), headers=headers)


async def _decide(
    doors: Doors, caller: Caller, event: Event | GatewayError, mapping_set: MappingSet
) -> ResultView:
    event_type = event.type if isinstance(event, Event) else ""
    try:
        doors.admit(caller)
        if isinstance(event, GatewayError):
            raise event
        taken = await doors.intake.accept(event, caller, mapping_set, is_in_batch=True)
    except Exception as error:  # noqa: BLE001 - whatever becomes of one event, the others are answered
        refusal = refusal_of(error, doors.observer, NotAccepted)
        doors.observer.fact("event", type=event_type, outcome=refusal.code)
        problem = problems.problem_of(refusal)
        return ResultView(problem.status, problem=problem)
    message = taken.message
    doors.observer.fact("event", type=event_type, outcome="replayed" if taken.is_replay else message.state.status)
    status, shown = status_of(message), doors.view(message)
    if status == 422:
        return ResultView(status, problem=problems.problem_of_message(message.state, shown))
    return ResultView(status, taken.is_replay, shown)
