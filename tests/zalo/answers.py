"""What Zalo says when all is well."""

import json

from gateway.core.grant import AccessToken, AppSecret, Token
from tests.transport.fault_server import answer

DATA = {
    "msg_id": "a4d0243feee163bd3af2",
    "sent_time": "1626926349402",
    "quota": {"dailyQuota": "500", "remainingQuota": "499"},
}
OK = answer(json.dumps({"error": 0, "message": "Success", "data": DATA}).encode())


def token(access: str = "access", *, app_secret: str | None = None) -> Token:
    """What a request carries, as far as Zalo sees it."""
    return Token(AccessToken(access), 1, None if app_secret is None else AppSecret(app_secret))
