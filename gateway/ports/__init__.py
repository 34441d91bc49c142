"""What the flows ask of the outside: small Protocols, each kept by at least two keepers or a fake under one suite.

Every operation of the Ledger and the Vault is atomic, and durable when it returns: each could be one script on
one message's keys and the indexes. They raise `Unavailable` when the store cannot confirm; then nothing is known
of whether the change was made.
"""

from .grants import Entry, Heard, Issuer, Journal, Renewer, TokenSource, Vault, Write
from .hands import Chance, Clock, Depart, Observer, Tell
from .messages import Acceptance, Conflicting, Depth, KeptReceipt, Known, Ledger, Overtaken, Page, Query, Stored
from .telling import Called, Endpoint, KeptNews, Outbox, Replay, Untold
from .zalo import Courier, Forged, Judge, Oracle, Probe, Signed, Verdict

__all__ = [
    "Acceptance",
    "Called",
    "Chance",
    "Clock",
    "Conflicting",
    "Courier",
    "Depart",
    "Depth",
    "Endpoint",
    "Entry",
    "Forged",
    "Heard",
    "Issuer",
    "Journal",
    "Judge",
    "KeptNews",
    "KeptReceipt",
    "Known",
    "Ledger",
    "Observer",
    "Oracle",
    "Outbox",
    "Overtaken",
    "Page",
    "Probe",
    "Query",
    "Renewer",
    "Replay",
    "Signed",
    "Stored",
    "Tell",
    "TokenSource",
    "Untold",
    "Vault",
    "Verdict",
    "Write",
]
