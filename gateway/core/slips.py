"""What to do about an expression that cannot be parsed, from what most often keeps one from that."""

import re
from typing import Final

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_SOLE_OPEN: Final = re.compile(r"(?<!\{)\{(?!\{)")
_SOLE_CLOSE: Final = re.compile(r"(?<!\})\}(?!\})")
_ARGUMENTS: Final = re.compile(r"\([^()]*\)")
_SOLE_EQUALS: Final = re.compile(r"(?<![=!<>])=(?!=)")


def cure_of(source: str) -> str:
    """The cure, as far as the text itself shows it."""
    bare = _QUOTED.sub("", source)
    if bare.count("'") % 2 or bare.count('"') % 2:
        return "end each text with the quote that it begins with"
    if len(_SOLE_OPEN.findall(bare)) != len(_SOLE_CLOSE.findall(bare)) or bare.count("{{") != bare.count("}}"):
        return "close each {{ with }}"
    for opening, closing in ("()", "[]"):
        if bare.count(opening) != bare.count(closing):
            return f"close each {opening} with {closing}"
    if _SOLE_EQUALS.search(_ARGUMENTS.sub("", bare)):
        return "compare with =="
    return "see docs/mappings.md"
