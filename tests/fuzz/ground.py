"""The ground that is fuzzed: a simulator and a gateway as real processes, and what must never come out of them."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config import key_digest
from tests.system.stage import KEYS, ROOT, Process, Stage
from tests.system.test_secrets import phone_forms, told_forms

FURTHER_KEYS = {"all": "test-key-all-types", "limited": "test-key-limited", "tester": "test-key-tester"}
CODES = ("73519264", "90817263")
CANARY_PHONES = ("0935718264", "+84 986-237-415", "84357902816")
_UNCERTAIN = {"cut", "silence", "garbage", "slow"}  # after those a mapping may ask for a second send
_WIDE = """\
summary = "Every transform, and members of any depth"
owner = "team-fuzz"
account = "main"
not_before = '{{ data.at | default("2026-11-01") | plus(days=1, hours=-3) }}'
[labels.kind]
a = "Một"
b = "Hai"
[[template]]
when = 'data.total >= 1000000 or data.items[0].name == "x"'
id = "7895417a7d3f9461cd2e"
phone = '{{ data.phones[1] | default(data.phone) }}'
secret = ["order_id"]
[template.data]
customer_name = '{{ data.items[0].name | collapse | shorten(30) }}'
order_id = '{{ data.code | upper | shorten(30) }}'
total = '{{ data.total | vnd }}'
paid_at = '{{ data.at | local("%H:%M %d/%m/%Y") }}'
payment_method = '{{ data.kind | label("kind", "") }}'
[[template]]
id = "310004"
phone = '{{ data.phone }}'
[template.data]
contract_number = '{{ data.items[-1].code ~ subject }}'
price = '{{ data.total * 2 / 3 | int }}'
transfer_amount = '{{ data.total | int }}'
bank_transfer_note = '{{ (data.code ~ " " ~ type) | bank_note | upper | shorten(90, "") }}'
"""


class Ground(Stage):
    """A stage with more callers and one more mapping, whose gateway's output is watched."""

    gateway: Process

    def __init__(self, folder: Path, simulator: Process) -> None:
        super().__init__(folder, simulator)
        simulator.ask("POST", "/__sim/rules", {"daily_quota": 10_000_000})
        grant = simulator.ask("GET", "/__sim/credentials").body["grant"]
        self.tokens = [str(grant[name]) for name in ("access_token", "refresh_token")]
        self._grant = json.dumps(grant).encode()
        self._seen = 0
        self.log = folder / "gateway.log"
        mappings = folder / "mappings"
        mappings.unlink()
        shutil.copytree(ROOT / "config" / "mappings", mappings)
        (mappings / "fuzz.wide.toml").write_text(_WIDE)
        self.keys = KEYS | FURTHER_KEYS
        self._add_callers()

    def _add_callers(self) -> None:
        further = {"all": 'events = ["*"]', "limited": 'events = ["*"]\nmax_per_second = 5'}
        further["tester"] = 'events = ["*"]\nmode = "development"'
        tables = (
            f'[callers.{name}]\nkey_sha256 = ["{key_digest(self.keys[name])}"]\n{lines}\n'
            for name, lines in further.items()
        )
        self.write_config(server='wait = "3s"', delivery="pause_after_uncertain = 0")
        self.config.write_text(self.config.read_text() + "".join(tables))

    @property
    def address(self) -> tuple[str, int]:
        """Where the gateway listens."""
        parts = urlsplit(self.gateway.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def begin(self) -> None:
        """The gateway runs with a grant that is known here."""
        done = self.command("token", "import", "main", given=self._grant)
        assert done.returncode == 0, done.stderr
        self.gateway = self.serve()

    def canaries(self) -> re.Pattern[bytes]:
        """What no answer, header or log line may hold, in any form."""
        secrets = [*self.keys.values(), *self.tokens, *CODES]
        secrets += [str(self.credentials[name]) for name in ("app_secret", "oa_secret")]
        forms = {form for secret in secrets for form in told_forms(secret)}
        forms |= {form for phone in CANARY_PHONES for form in phone_forms(phone)}
        return re.compile(b"|".join(map(re.escape, sorted(forms))))

    def alarms(self) -> list[str]:
        """The lines of the gateway's log since the last call that must not be there."""
        with self.log.open("rb") as log:
            log.seek(self._seen)
            fresh = log.read()
        fresh = fresh[: fresh.rfind(b"\n") + 1]
        self._seen += len(fresh)
        return [alarm for line in fresh.splitlines() if (alarm := alarm_of(line)) is not None]

    def memory_mib(self) -> float:
        """What the gateway's process holds now."""
        status = Path(f"/proc/{self.gateway.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def complaints_at_the_end(self, most_mib: float) -> list[str]:
        """What is wrong with the processes after all that."""
        wrong = []
        if self.gateway.process.poll() is not None:
            return [f"the gateway has died: {self.gateway.process.returncode}"]
        live = self.gateway.ask("GET", "/livez")
        if live.status != 200:
            wrong.append(f"/livez: {live}")
        if (memory := self.memory_mib()) > most_mib:
            wrong.append(f"memory: {memory:.0f} MiB, more than {most_mib:.0f}")
        if found := self.canaries().search(self.log.read_bytes()):
            wrong.append(f"a canary in the log: {found[0]!r}")
        ledger = self.ledger()
        sent = Counter(it["tracking_id"] for it in ledger["messages"] if it["outcome"] not in _UNCERTAIN)
        wrong += [f"sent {count} times: {name}" for name, count in sent.most_common(5) if count > 1]
        return wrong + [f"log: {alarm}" for alarm in self.alarms()]


def alarm_of(line: bytes) -> str | None:
    """Why this line of the log must not be there; None if it may."""
    try:
        told: Any = json.loads(line)
    except ValueError:
        return f"no JSON: {line[:300]!r}"
    if not isinstance(told, dict):
        return f"no object: {line[:300]!r}"
    if told.get("event") == "turn-failed" or b"Traceback" in line:
        return f"turn-failed {told.get('error')} at {told.get('where')}"
    if told.get("event") == "library" and told.get("level") in ("error", "critical"):
        return f"library {told.get('logger')} {told.get('error')}"
    return None


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """The processes for as long as the context lasts."""
    os.environ.pop("GATEWAY_CONFIG", None)
    simulator = Process(["simulator", "--port", "0"], folder / "simulator.log")
    try:
        made = Ground(folder, simulator)
        made.begin()
        try:
            yield made
        finally:
            made.gateway.stop()
    finally:
        simulator.stop()
