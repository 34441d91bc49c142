"""The settings of the simulated OA that a test may change while it runs (`POST /__sim/rules`)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Natural = Annotated[int, Meta(ge=0)]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this Zalo behaves where the real one is unknown, or differs by account."""

    daily_quota: Natural = 5_000_000
    balance: Natural | None = None
    monthly_promotion_quota: Natural = 10_000
    development_messages: Natural | None = None
    over_quota: bool = False
    night: Literal["clock", "always", "never"] = "clock"
    appsecret_proof: Literal["optional", "required"] = "optional"
    expires_in: Annotated[int, Meta(ge=1, le=10_000_000)] = 90_000
    spent_refresh: Literal["empty", "-14014"] = "empty"
    refresh_ends_old_access: bool = False
    wrong_secret_error: int = -14004
    oauth_error_status: Annotated[int, Meta(ge=200, le=499)] = 200
    redirect_uri: str | None = None


MEANINGS: dict[str, str] = {
    "daily_quota": "messages a day of the OA; then -144. The day begins at 00:00 in Vietnam",
    "balance": "VND on the ZBS account, less the price of each accepted message; then -115. null: no end",
    "monthly_promotion_quota": "messages a month with tag 3; then -1441",
    "development_messages": "messages left in development mode; then -126. null: no end",
    "over_quota": 'whether the OA is whitelisted for `"sending_mode": "3"` (tag 3 only); else -161',
    "night": "whether night-limited templates go by the clock, or it is `always` or `never` night",
    "appsecret_proof": "`required`: a send without the header is -1241",
    "expires_in": "life of the access tokens issued from now on, in real seconds",
    "spent_refresh": "answer to a spent refresh token: `empty` (HTTP 200, no body) or `-14014`",
    "refresh_ends_old_access": "whether a refresh ends the access token that it replaces",
    "wrong_secret_error": "the number that a wrong or missing `secret_key` gets (the real one is unknown)",
    "oauth_error_status": "HTTP status of the errors of the token endpoint",
    "redirect_uri": "the one that is registered; any other is -14003. null: all are",
}
