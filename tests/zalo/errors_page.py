"""Writes docs/zalo-errors.md from the table of codes: `python -m tests.zalo.errors_page`."""

from collections.abc import Iterable
from pathlib import Path

from gateway.core.delivery import Scope, Until, Wait
from gateway.zalo import codes
from gateway.zalo.codes import Code, OwnWord

PAGE = Path(__file__).parents[2] / "docs" / "zalo-errors.md"

HEAD = """\
# What Zalo may say about a message

Made from `gateway/zalo/codes.py` by `python -m tests.zalo.errors_page`; a test keeps the two equal.

`code`, `category`, `detail` and `advice` of a Message's `error` come from here; `error.zalo` holds Zalo's own number
and words. Decide by `code`: Zalo's words change.

**What it costs.** Zalo charges for a message when it is on the phone, and for nothing else. So whatever is refused or
waits has cost nothing. Only what is uncertain may have been delivered, and then it was charged.
"""

UNTIL = {
    Until.BACKOFF: "is tried again after a growing, random delay",
    Until.MORNING: "waits until 06:00 in Vietnam",
    Until.NEXT_DAY: "waits until 00:00 in Vietnam",
    Until.NEXT_MONTH: "waits until the first of next month in Vietnam",
    Until.NEW_GRANT: "gets a fresh access token, then tries again at once; if that does not help, pauses",
    Until.CURE: "is paused; one message is tried now and then, and a success resumes all",
}
WHO = {Scope.MESSAGE: "The message", Scope.TEMPLATE: "The template", Scope.ACCOUNT: "The account"}
FREE = "nothing"


def page() -> str:
    """The whole page, as it should be."""
    unknown = codes.for_number(-999999, development=False)
    parts = [HEAD]
    parts += ["## Zalo's numbers\n", *(_of_zalo(code) for code in codes.TABLE.values())]
    parts += [_entry("unrecognised", "any other number", unknown, "Fails for good, and raises an alert.", FREE)]
    parts += ["## Our own words\n", "No number of Zalo's came; `error.zalo` is null.\n"]
    parts += [_of_ours(word) for word in codes.OUR_WORDS.values()]
    return "\n".join(parts)


def _of_zalo(code: Code) -> str:
    title = code.code if code.number not in (-216, -220) else f"{code.code} ({code.number})"
    return _entry(title, f"Zalo's {code.number}", code, _effect(code), FREE)


def _effect(code: Code) -> str:
    if code.wait is not None:
        return _waiting(code.wait)
    if code.blocks_template:
        return "Fails for good, and the template is reported as blocked."
    if code.number in codes.IN_DEVELOPMENT:
        return (
            "Fails for good; in development mode also reports the template as blocked (category `configuration`)."
        )
    return "Fails for good."


def _waiting(wait: Wait) -> str:
    return f"{WHO[wait.scope]} {UNTIL[wait.until]} (reason `{wait.reason.value}`)."


def _of_ours(word: OwnWord) -> str:
    if "may have been delivered" in word.advice:
        return _entry(
            word.code,
            "no number",
            word,
            "Becomes `unknown`; a receipt settles it.",
            "one message, if it went",
        )
    if word.is_permanent:
        return _entry(word.code, "no number", word, "Fails for good.", FREE)
    return _entry(
        word.code,
        "no number",
        word,
        "Waits and is tried again; nothing had left the gateway or Zalo said no.",
        FREE,
    )


def _entry(title: str, number: str, what: Code | OwnWord, effect: str, cost: str) -> str:
    rows: Iterable[tuple[str, str]] = (
        ("Means", f"{what.meaning} ({number}, category `{what.category.value}`)"),
        ("The gateway", effect),
        ("You", what.advice),
        ("Costs", cost),
    )
    return f"### {title}\n\n" + "\n".join(f"- **{name}**: {text}" for name, text in rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
