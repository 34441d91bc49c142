"""Signatures of Standard Webhooks 1.0.0: whoever has the secret can tell that a callback is ours, whole and recent."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 24
_LONGEST: Final = 64


def read_secret(text: str) -> bytes:
    """The key in a secret as people write it; raises ValueError, which does not quote it."""
    encoded = text.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    is_canonical = base64.b64encode(key).decode() == encoded  # what else Python takes, other languages may not
    if not (text.startswith(_PREFIX) and is_canonical and _SHORTEST <= len(key) <= _LONGEST):
        raise ValueError(f"not {_PREFIX} and base64 of {_SHORTEST} to {_LONGEST} bytes")
    return key


def sign(keys: Sequence[bytes], webhook_id: str, *, at: int, body: bytes) -> str:
    """What stands in `webhook-signature`: a signature by each key, so that any one of them is enough to check it."""
    signed = b"%b.%d.%b" % (webhook_id.encode(), at, body)
    macs = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)
