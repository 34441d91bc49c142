"""How a configuration is made to fit the simulator: its credentials, and keys that need not be kept secret.

A store is marked simulated at its first use and no gateway mixes the two kinds, so what is fixed here can never
guard anything real.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.config import Loaded, key_digest, load

_SEALING_KEY: Final = base64.b64encode(b"simulated stores hold no secrets").decode()
_CALLBACK_SECRET: Final = "whsec_" + base64.b64encode(b"simulated callbacks guard nothing").decode()


def caller_key(caller: str) -> str:
    """The key that a simulated gateway takes from this caller, beside its real ones."""
    return f"simulator-{caller}"


def load_simulated(path: Path, credentials: Mapping[str, Any], url: str | None = None) -> Loaded:
    """The configuration at `path`, for the simulator at `url` with these credentials.

    Nothing has to be prepared to try the gateway: secrets that are not set get stand-ins, and anything else its
    default. The store is sealed with a key that everybody knows, so that it opens whatever is set later.
    """

    def simulated(raw: dict[str, Any]) -> None:
        if url is not None:
            _table(raw, "zalo").update(api_url=url, oauth_url=url)
        secrets = _table(raw, "secrets")
        secrets["keys"] = [_SEALING_KEY, *(it for it in secrets.get("keys", []) if "${" not in str(it))]
        for account in _tables(raw, "accounts"):
            account.update({name: credentials[name] for name in ("app_id", "app_secret", "oa_id")})
            account["webhook_secrets"] = [credentials["oa_secret"]]
        for name, caller in _table(raw, "callers").items():
            if isinstance(caller, dict):
                digests = [it for it in caller.get("key_sha256", []) if "${" not in str(it)]
                caller["key_sha256"] = [*digests, key_digest(caller_key(name))]
                _table(caller, "callback", may_be_missing=True).update(secrets=[_CALLBACK_SECRET])

    return load(path, may_be_unset=True, rewrite=simulated)


def _table(raw: dict[str, Any], name: str, *, may_be_missing: bool = False) -> dict[str, Any]:
    """The table of that name; one of its own, and no part of `raw`, where something else stands in its place."""
    found = raw.get(name, {}) if may_be_missing else raw.setdefault(name, {})
    return found if isinstance(found, dict) else {}


def _tables(raw: dict[str, Any], group: str) -> list[dict[str, Any]]:
    return [table for table in _table(raw, group).values() if isinstance(table, dict)]
