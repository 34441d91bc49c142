"""Sealing at rest: AES-256-GCM under a ring of keys, bound to where the sealed thing belongs.

A sealed value opens only under the same `label`, so it cannot be moved from one record to another unnoticed.
The first key of the ring seals, all of them open.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.errors import CannotOpen, CannotStart

KEY_BYTES: Final = 32
_FORMAT: Final = b"\x01"
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_FORMAT) + _ID_BYTES + _NONCE_BYTES


class KeyRing:
    """Seals under the first key and opens under any."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise CannotStart(f"secrets.keys must hold at least one key, each base64 of {KEY_BYTES} bytes")
        self._ciphers = {hashlib.sha256(key).digest()[:_ID_BYTES]: AESGCM(key) for key in keys}
        self._id, self._cipher = next(iter(self._ciphers.items()))

    @property
    def head(self) -> bytes:
        """How everything begins that is sealed under the first key."""
        return _FORMAT + self._id

    @property
    def key_ids(self) -> list[str]:
        """What each key is called in what it sealed, the first key first; it tells nothing of the key."""
        return [each.hex() for each in self._ciphers]

    def is_current(self, sealed: bytes) -> bool:
        """True if it is sealed under the first key."""
        return sealed.startswith(self.head)

    def has_key_of(self, sealed: bytes) -> bool:
        """True if the key is here under which it was sealed."""
        return sealed[: len(_FORMAT)] == _FORMAT and sealed[1 : 1 + _ID_BYTES] in self._ciphers

    def seal(self, label: str, plain: bytes) -> bytes:
        """`plain`, sealed under the first key and bound to `label`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + self._id + nonce + self._cipher.encrypt(nonce, plain, label.encode())

    def open(self, label: str, sealed: bytes) -> bytes:
        """What was sealed under `label`; raises CannotOpen."""
        what = label.partition(":")[0]
        cipher = self._ciphers.get(sealed[1 : 1 + _ID_BYTES])
        if sealed[:1] != _FORMAT or cipher is None:
            raise CannotOpen(f"no key in secrets.keys opens {what}: was one removed or replaced?")
        nonce = sealed[1 + _ID_BYTES : _HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], label.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: it was cut off within the nonce
            raise CannotOpen(f"{what} does not open: the record was changed") from error


class Digests:
    """Keyed digests of what must be found or compared but not read: phone numbers, and what an event said."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")

    def __call__(self, purpose: str, value: bytes) -> bytes:
        """The same 16 bytes for the same value, telling nothing to who lacks the key."""
        # hmac.digest would be one call, but gives the interpreter away and has to queue for it again.
        digest = self._keyed.copy()
        digest.update(purpose.encode() + b"\x00" + value)
        return digest.digest()[:16]
