"""What callers see beside a Message: pages of them, and previews."""

from collections.abc import Mapping

import msgspec

from gateway.core.mapping import Draft
from gateway.core.mapping import Mapping as EventMapping
from gateway.core.masking import masked_data
from gateway.core.phone import mask
from gateway.core.view import MessageView


class MessagePage(msgspec.Struct, frozen=True):
    """One page of messages; `next_cursor` is null at the end of a list."""

    items: tuple[MessageView, ...]
    next_cursor: str | None


class PreviewFault(msgspec.Struct, frozen=True):
    """One thing that keeps the event from being sent: the code it would be refused with, and where it lies."""

    code: str
    pointer: str
    detail: str


class Preview(msgspec.Struct, frozen=True):
    """What Zalo would get, masked, as far as it could be filled; `faults` says why it would not get it.

    No `template_id` and no `faults`: the event is skipped on purpose.
    """

    template_id: str | None
    account: str | None
    phone: str | None
    template_data: Mapping[str, str]
    mapping: str
    faults: tuple[PreviewFault, ...]


def preview(mapping: EventMapping, made: Draft) -> Preview:
    """What the mapping makes of an event, as any answer may show it."""
    choice = made.choice
    return Preview(
        template_id=None if choice is None else choice.template_id,
        account=mapping.account,
        phone=None if made.phone is None else mask(made.phone),
        template_data=masked_data(made),
        mapping=mapping.event_type,
        faults=tuple(
            PreviewFault(trouble.error.code, trouble.fault.pointer, trouble.fault.detail)
            for trouble in made.troubles
        ),
    )
