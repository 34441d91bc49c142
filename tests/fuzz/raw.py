"""The first kind: bytes that were a valid request once, over several kept-alive connections."""

import asyncio
import json
from collections import deque
from contextlib import suppress
from random import Random

from .corpus import REMEMBERED, Corpus
from .findings import Finding, Report, route_in
from .ground import Ground
from .judge import Judge, Verdict
from .mutations import mutated
from .shrinking import shrunk
from .wire import IllFormed, Reply, Shape, is_head, read_reply, shape_of

KIND = "raw"
LINES = 6
_LOOK_EVERY = 100
_REMEMBER_EVERY = 50
_SUSPECTS = 150
_LINE_IS_THERE_S = 0.03
_PATIENCE_S = 15.0
_PATIENCE_ALONE_S = 4.0  # longer than any call waits
_PATIENCE_WITH_PARTS_S = 0.05  # of the beginning of a request nobody needs to be answered


class Seen:
    """What came back for some bytes: answers, or none; and whether the connection still stands."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.fault: str | None = None
        self.is_closed = False
        self.is_silent = False


class Connection:
    """One connection to the gateway, opened when it is needed."""

    def __init__(self, address: tuple[str, int], patience_s: float = _PATIENCE_S) -> None:
        self._address = address
        self._patience_s = patience_s
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, raw: bytes, shape: Shape) -> Seen:
        """What the server made of the bytes; a connection that was closed while idle is opened anew."""
        was_open = self._ends is not None
        seen = await self._ask(raw, shape)
        if was_open and seen.is_closed and not seen.replies and seen.fault is None:
            seen = await self._ask(raw, shape)
        return seen

    async def _ask(self, raw: bytes, shape: Shape) -> Seen:
        if self._ends is None:
            self._ends = await asyncio.open_connection(*self._address, limit=1 << 26)
        reader, writer = self._ends
        seen = Seen()
        writer.write(raw)
        patience = _PATIENCE_WITH_PARTS_S if shape is Shape.PARTIAL else self._patience_s
        try:
            async with asyncio.timeout(patience):
                buffer = await self._answer(seen, reader, b"", has_no_body=is_head(raw))
            if shape is not Shape.WHOLE and not seen.is_closed:
                async with asyncio.timeout(_PATIENCE_WITH_PARTS_S):
                    while not seen.is_closed:
                        buffer = await self._answer(seen, reader, buffer)
        except TimeoutError:
            seen.is_silent = not seen.replies
        except IllFormed as ill:
            seen.fault = str(ill)
        if shape is not Shape.WHOLE or seen.is_closed or seen.is_silent or seen.fault or seen.replies[-1].is_last:
            await self.close()
        return seen

    @staticmethod
    async def _answer(
        seen: Seen, reader: asyncio.StreamReader, buffer: bytes, *, has_no_body: bool = False
    ) -> bytes:
        """One more answer is seen, or the end of the connection."""
        while (found := read_reply(buffer, has_no_body=has_no_body, is_closed=seen.is_closed)) is None:
            if seen.is_closed:
                return b""
            part = b""
            with suppress(ConnectionError):
                part = await reader.read(1 << 20)
            seen.is_closed = not part
            buffer += part
        seen.replies.append(found[0])
        return found[1]

    async def close(self) -> None:
        """The next bytes open a new connection."""
        if self._ends is not None:
            self._ends[1].close()
            with suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(self._ends[1].wait_closed(), 1)
            self._ends = None


def _may_be_head(raw: bytes, seen: Seen) -> bool:
    """Whether bodies can be misread here: the gateway refused as no HTTP what was a HEAD, or a later HEAD was answered."""
    return b"HEAD " in raw and (not is_head(raw) or (bool(seen.replies) and seen.replies[-1].is_last))


class Raw:
    """Fires mutated bytes, and judges what comes back."""

    def __init__(self, ground: Ground, report: Report, judge: Judge) -> None:
        self._ground = ground
        self._report = report
        self._judge = judge
        self._corpus = Corpus(ground)
        self._number = 0
        self._left = 0
        self._recent: deque[bytes] = deque(maxlen=_SUSPECTS)
        self._looking = asyncio.Lock()

    async def run(self, requests: int) -> None:
        """So many requests have been asked, unless there were too many findings."""
        self._left = requests
        async with asyncio.TaskGroup() as group:
            for _ in range(LINES):
                group.create_task(self._work())
        await self._look_at_log()

    async def _work(self) -> None:
        connection = Connection(self._ground.address)
        while self._left > 0 and not self._report.is_full:
            self._left -= 1
            async with self._looking:  # nobody else asks while a culprit is looked for
                self._number += 1
            # Of its own for each request, so that what a run has seen before changes nothing.
            raw = mutated(Random(f"{KIND} {self._report.seed} {self._number}"), self._corpus)
            self._recent.append(raw)
            await self._one(connection, raw)
            if self._left % _LOOK_EVERY == 0:
                await self._look_at_log()
        await connection.close()

    async def _one(self, connection: Connection, raw: bytes) -> None:
        shape = shape_of(raw)
        seen = await connection.ask(raw, shape)
        if len(self._corpus.tracking_ids) < REMEMBERED or self._number % _REMEMBER_EVERY == 0:
            for reply in seen.replies:
                with suppress(ValueError):
                    self._corpus.remember(json.loads(reply.body))
        result = " ".join(str(reply.status) for reply in seen.replies[:1]) or (
            "closed" if seen.is_closed else "silent"
        )
        self._report.count(KIND, route_in(raw), result)
        verdict, key = self._verdict(raw, shape, seen)
        if verdict.complaint is not None and not self._report.knows(key):
            await self._keep(key, raw, verdict)

    def _verdict(self, raw: bytes, shape: Shape, seen: Seen) -> tuple[Verdict, tuple[str, ...]]:
        verdicts = [(self._judge.verdict(it, is_bodiless=is_head(raw)), it.status) for it in seen.replies]
        verdict, status = next((it for it in verdicts if it[0].complaint), (Verdict(None), 0))
        is_http = shape in (Shape.WHOLE, Shape.MORE)
        if seen.fault is not None and not _may_be_head(raw, seen):
            verdict = Verdict(f"ill-formed: {seen.fault[:100]}")
        elif not seen.replies and is_http:
            verdict = Verdict(f"a whole request, and {'silence' if seen.is_silent else 'a closed connection'}")
        elif seen.is_silent and shape is Shape.BROKEN:
            verdict = Verdict("no HTTP, and silence")
        elif shape is Shape.WHOLE and len(seen.replies) > 1:
            verdict = Verdict("two answers to one request")
        route = route_in(raw) if is_http else "no HTTP"
        key = (verdict.complaint or "")[:60], str(status), verdict.code, route
        return verdict, key

    async def _keep(self, key: tuple[str, ...], raw: bytes, verdict: Verdict) -> None:
        """The finding is in the report, with as few bytes as still show it."""
        self._report.add(key, self._finding(raw, verdict.complaint or "", Seen()))  # nobody else shrinks it too
        answers: dict[bytes, Seen] = {}

        async def shows(candidate: bytes) -> bool:
            seen = answers[candidate] = await self._alone(candidate)
            return self._verdict(candidate, shape_of(candidate), seen)[1][:3] == key[:3]

        least = await shrunk(raw, shows)
        seen = answers[least]
        is_shown = self._verdict(least, shape_of(least), seen)[1][:3] == key[:3]
        note = "" if is_shown else " (not again when it was asked alone)"
        self._report.findings[key] = self._finding(least, f"{verdict.complaint}{note}", seen)

    async def _alone(self, raw: bytes) -> Seen:
        connection = Connection(self._ground.address, _PATIENCE_ALONE_S)
        seen = await connection.ask(raw, shape_of(raw))
        await connection.close()
        return seen

    def _finding(self, raw: bytes, complaint: str, seen: Seen) -> Finding:
        told = [f"{it.status} {it.headers} {it.body[:600]!r}" for it in seen.replies]
        answer = "\n            ".join(told) or seen.fault or ("closed" if seen.is_closed else "silence")
        return Finding(KIND, self._report.seed, complaint, route_in(raw), raw, answer)

    async def _look_at_log(self) -> None:
        """For each new alarm in the log, the request that raises it is looked for among the last ones."""
        async with self._looking:
            alarms = [alarm for alarm in self._ground.alarms() if not self._report.knows(("log", alarm))]
            suspects = list(self._recent)
            for alarm in dict.fromkeys(alarms):
                culprit = await self._culprit(alarm, suspects)
                seen = Seen()
                if culprit is not None:

                    async def shows(candidate: bytes, alarm: str = alarm) -> bool:
                        return await self._raises(alarm, candidate)

                    culprit = await shrunk(culprit, shows)
                    seen = await self._alone(culprit)
                finding = self._finding(culprit or b"(not found among the last requests)", alarm, seen)
                self._report.add(("log", alarm), finding)

    async def _culprit(self, alarm: str, suspects: list[bytes]) -> bytes | None:
        for raw in reversed(suspects):
            if await self._raises(alarm, raw):
                return raw
        return None

    async def _raises(self, alarm: str, raw: bytes) -> bool:
        self._ground.alarms()
        await self._alone(raw)
        # The line comes right after the answer or never, so there is no condition to wait for.
        await asyncio.sleep(_LINE_IS_THERE_S)
        return alarm in self._ground.alarms()
