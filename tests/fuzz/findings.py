"""What a run has seen: a table by kind, route and status, and each different finding once."""

import re
from collections import Counter

import msgspec

ROUTES = (
    (re.compile(r"/v1/events"), "/v1/events"),
    (re.compile(r"/v1/events/preview"), "/v1/events/preview"),
    (re.compile(r"/v1/messages"), "/v1/messages"),
    (re.compile(r"/v1/messages/[^/]+"), "/v1/messages/{tracking_id}"),
    (re.compile(r"/v1/messages/.+"), "/v1/messages/…"),
    (re.compile(r"/webhooks/zalo/[^/]*"), "/webhooks/zalo/{account}"),
    (re.compile(r"/(livez|readyz|metrics|schema/openapi\.json)"), "health"),
    (re.compile(r"/v1/.*", re.DOTALL), "/v1/…"),
)


class Finding(msgspec.Struct, frozen=True):
    """One way in which an answer, or a line of the log, is wrong."""

    kind: str
    seed: int
    complaint: str
    route: str
    request: bytes
    answer: str

    def __str__(self) -> str:
        shown = (
            repr(self.request) if len(self.request) <= 3000 else f"{self.request[:3000]!r}… {len(self.request)}"
        )
        return (
            f"[{self.kind}, seed {self.seed}] {self.route}: {self.complaint}\n  asked:    {shown}\n"
            f"  answered: {self.answer[:1500]}"
        )


class Report:
    """Counts, and keeps the first finding of each kind until there are `most`."""

    def __init__(self, seed: int, most: int = 40) -> None:
        self.seed = seed
        self._most = most
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.findings: dict[tuple[str, ...], Finding] = {}

    @property
    def is_full(self) -> bool:
        """Whether there is no point in going on."""
        return len(self.findings) >= self._most

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return sum(self.counts.values())

    def count(self, kind: str, route: str, result: str) -> None:
        """One more request came to this."""
        self.counts[kind, route, result] += 1

    def knows(self, key: tuple[str, ...]) -> bool:
        """Whether such a finding is there already."""
        return key in self.findings

    def add(self, key: tuple[str, ...], finding: Finding) -> None:
        """The first of its key is kept."""
        self.findings.setdefault(key, finding)

    def table(self) -> str:
        """By kind and route, how often which status."""
        rows: dict[tuple[str, str], Counter[str]] = {}
        for (kind, route, result), count in self.counts.items():
            rows.setdefault((kind, route), Counter())[result] += count
        lines = [
            f"{kind:<12} {route:<26} {sum(row.values()):>7}  "
            + "  ".join(f"{result}: {count}" for result, count in sorted(row.items()))
            for (kind, route), row in sorted(rows.items())
        ]
        totals = Counter[str]()
        for (_, _, result), count in self.counts.items():
            totals[result] += count
        whole = "  ".join(f"{result}: {count}" for result, count in sorted(totals.items()))
        return "\n".join([*lines, f"{'all':<39} {self.asked:>7}  {whole}"])


def route_of(target: str) -> str:
    """The row of the table that a target belongs to."""
    path = target.partition("?")[0]
    return next((name for pattern, name in ROUTES if pattern.fullmatch(path)), "other")


def route_in(raw: bytes) -> str:
    """The same of a request's bytes."""
    words = raw.lstrip(b"\r\n").partition(b"\r\n")[0].split(b" ")
    return route_of(words[1].decode("latin-1")) if len(words) > 1 else "other"
