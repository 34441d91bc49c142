"""Stores as older versions of the gateway left them, with something of everything in them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.core.delivery import State
from gateway.core.message import Message
from gateway.core.receipt import Receipt
from gateway.storage import KeyRing
from gateway.storage.records import DIGEST_LABEL, RANKS, Records, micros, write_hold, write_message
from gateway.storage.sealing import Digests
from tests.contract.stage import (
    KEY,
    NOW,
    PHONE,
    after,
    begin,
    finish,
    identity_of,
    make_event,
    make_grant,
    make_hold,
    make_letter,
    make_message,
)

SCHEMA_3: Final = (Path(__file__).parent / "schema_3.sql").read_text(encoding="utf-8")
NEW_IN_3: Final = ("lease", "login")
GRANT_OF_2: Final = {
    "account": "main",
    "generation": 1,
    "access": {"value": "access-main-1"},
    "refresh": {"value": "refresh-main-1"},
    "obtained_at": NOW,
    "expires_at": after(90_000),
    "consented_at": NOW,
    "was_refreshed": False,
    "intent": None,
    "presented": 0,
    "proven_at": None,
    "trouble": None,
    "version": 1,
}
RECEIPT: Final = Receipt("z-orphan", None, after(3))
MESSAGES: Final = (
    make_message("evt-queued"),
    finish(begin(make_message("evt-sent"), "1-gone"), "z-sent", after(1)),
    make_message("evt-delivered", state=State.DELIVERED),
)


def make_older(file: Path, version: int, *, grant_key: bytes = KEY) -> bytes:
    """A live store of that version is there; how it sealed the grant of `main`."""
    ring = KeyRing([KEY])
    records = Records(ring, Digests(b"d" * 32))
    written = msgspec.msgpack.encode(GRANT_OF_2)
    sealed = (
        KeyRing([grant_key]).seal("grant:main:1", written) if version == 2 else records.seal_grant(make_grant())
    )
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {SCHEMA_3}")
        if version == 2:
            for table in NEW_IN_3:
                connection.execute(f"DROP TABLE {table}")
        marks = {
            "schema": str(version).encode(),
            "kind": b"live",
            "digest-key": ring.seal(DIGEST_LABEL, b"d" * 32),
        }
        connection.executemany("INSERT INTO meta VALUES (?, ?)", marks.items())
        connection.execute("INSERT INTO credential VALUES ('main', 1, ?)", (sealed,))
        connection.execute("INSERT INTO hold VALUES (?, ?)", (make_hold().key, write_hold(make_hold())))
        for number, message in enumerate(MESSAGES, start=1):
            _put(connection, records, message, number)
        for receipt, name in ((RECEIPT, "user_received_message"), (Receipt(None, None, None), "oa_send_text")):
            _keep(connection, records, receipt, name)
        connection.execute("COMMIT")
    return sealed


def _put(connection: sqlite3.Connection, records: Records, message: Message, seq: int) -> None:
    event = make_event(message.event_id)
    row: dict[str, Any] = {
        "seq": seq,
        "tracking_id": message.tracking_id,
        "caller": message.caller,
        "type": message.event_type,
        "event_id": message.event_id,
        "accepted_at": micros(message.accepted_at),
        "phone_digest": records.phone_digest(PHONE),
        "version": message.version,
        "status": message.state.status,
        "account": message.account,
        "template_id": message.template_id,
        "rank": RANKS[message.priority],
        "msg_id": message.msg_id,
        "updated_at": micros(message.updated_at),
        "expires_at": micros(message.expires_at),
        "due_at": micros(message.accepted_at) if message.state.is_waiting else None,
        # Version 3 knew nothing of asking, and what is not set is not written.
        "body": write_message(msgspec.structs.replace(message, ask_at=None)),
        "changed": seq,
    }
    columns, places = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO message ({columns}) VALUES ({places})", tuple(row.values()))
    letter = records.seal_letter(message.tracking_id, make_letter(event))
    connection.execute("INSERT INTO letter VALUES (?, ?)", (seq, letter))
    for name in identity_of(event).names:
        connection.execute("INSERT INTO identity VALUES (?, ?, ?)", (name, seq, records.fingerprint(event)))


def _keep(connection: sqlite3.Connection, records: Records, receipt: Receipt, name: str) -> None:
    delivered = None if receipt.delivered_at is None else micros(receipt.delivered_at)
    connection.execute(
        "INSERT INTO receipt (account, received_at, name, is_new, tracking_id, msg_id, delivered_at, body)"
        " VALUES ('main', ?, ?, 0, ?, ?, ?, ?)",
        (micros(NOW), name, receipt.tracking_id, receipt.msg_id, delivered, records.seal_receipt("main", b"{}")),
    )
