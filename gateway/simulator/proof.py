"""`appsecret_proof`: that the caller knows the app's secret."""

import hashlib
import hmac


def proof_of(app_secret: str, access_token: str) -> str:
    """The lower-case hex of the HMAC-SHA256 of the access token under the app's secret."""
    return hmac.new(app_secret.encode(), access_token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
