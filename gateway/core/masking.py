"""What a filled template may show of itself: neither its secrets nor whom it is for."""

import re
from collections.abc import Mapping
from typing import Final

from .filling import Draft
from .phone import mask

MASK: Final = "*****"
_DECORATION: Final = r"[\s.\-()]*"


def masked_data(made: Draft) -> Mapping[str, str]:
    """The template's data without the values that are `secret` and without the phone number, wherever these stand."""
    secret = frozenset() if made.choice is None else made.choice.secret
    data = made.template_data
    hidden = [re.escape(text) for name, text in data.items() if name in secret and text]
    secrets = re.compile("|".join(sorted(hidden, key=len, reverse=True))) if hidden else None
    phone = None if made.phone is None else _anyhow(made.phone)
    shown: dict[str, str] = {}
    for name, text in data.items():
        if name in secret:
            text = MASK
        if secrets is not None:
            text = secrets.sub(MASK, text)
        if phone is not None and made.phone is not None:
            text = phone.sub(mask(made.phone), text)
        shown[name] = text
    return shown


def _anyhow(phone: str) -> re.Pattern[str]:
    """The number however it is written: with 84 or 0 or neither, with spaces, dots, dashes and brackets."""
    national = _DECORATION.join(phone[2:])
    return re.compile(rf"(?:\+?84|0)?{_DECORATION}{national}")
