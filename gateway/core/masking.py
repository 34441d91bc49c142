"""What a filled template may show of itself: neither its secrets nor whom it is for."""

import re
from collections.abc import Mapping
from typing import Final

from .filling import Draft
from .phone import mask

MASK: Final = "*****"
_SHORTEST: Final = (
    4  # a secret of fewer characters stands everywhere by chance, and masking it there would tell it
)
_GAP: Final = r"[\s.\-()]{0,3}+"
_LIKE_A_PHONE: Final = re.compile(rf"\+?\d(?:{_GAP}\d){{8,11}}")


def masked_data(made: Draft) -> Mapping[str, str]:
    """The template's data without the values that are `secret` and without the phone number, wherever these stand.

    Where the number is none that could be normalised, whatever looks like one is masked.
    """
    secret = frozenset() if made.choice is None else made.choice.secret
    data = made.template_data
    hidden = sorted({text for name, text in data.items() if name in secret and len(text) >= _SHORTEST}, key=len)
    phone = _LIKE_A_PHONE if made.phone is None else _anyhow(made.phone)
    masked = MASK if made.phone is None else mask(made.phone)
    shown: dict[str, str] = {}
    for name, text in data.items():
        for value in reversed(hidden):
            text = text.replace(value, MASK)
        shown[name] = MASK if name in secret else phone.sub(masked, text)
    return shown


def _anyhow(phone: str) -> re.Pattern[str]:
    """The number however it is written: with 84 or 0 or neither, with spaces, dots, dashes and brackets."""
    return re.compile(rf"(?:\+?84{_GAP}|0{_GAP})?{_GAP.join(phone[2:])}")
