"""How a configuration is made to fit the simulator: its credentials, and keys that need not be kept secret.

A store is marked simulated at its first use and no gateway mixes the two kinds, so what is fixed here can never
guard anything real.
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.config import Loaded, SettingFault, key_digest, load

_SEALING_KEY: Final = base64.b64encode(b"simulated stores hold no secrets").decode()
_CALLBACK_SECRET: Final = "whsec_" + base64.b64encode(b"simulated callbacks").decode()


def caller_key(caller: str) -> str:
    """The key that a simulated gateway takes from this caller, beside its real ones."""
    return f"simulator-{caller}"


def load_simulated(path: Path, credentials: Mapping[str, Any], url: str | None = None) -> Loaded:
    """The configuration at `path`, for the simulator at `url` with these credentials.

    Variables that are not set get stand-ins, so that nothing has to be prepared to try the gateway.
    """

    def rewrite(raw: dict[str, Any]) -> None:
        if url is not None:
            raw.setdefault("zalo", {}).update(api_url=url, oauth_url=url)
        for account in raw.get("accounts", {}).values():
            account.update({name: credentials[name] for name in ("app_id", "app_secret", "oa_id")})
            account["webhook_secrets"] = [credentials["oa_secret"]]
        for name, caller in raw.get("callers", {}).items():
            digests = [it for it in caller.get("key_sha256", []) if "${" not in str(it)]
            caller["key_sha256"] = [*digests, key_digest(caller_key(name))]

    unset = load(path, may_be_unset=True, rewrite=rewrite).unset
    environment = {**os.environ, **{it.variable: _stand_in(it) for it in unset}}
    return load(path, environment=environment, rewrite=rewrite)


def _stand_in(unset: SettingFault) -> str:
    if unset.place[:1] == ("secrets",):
        return _SEALING_KEY
    return _CALLBACK_SECRET if "callback" in unset.place else "simulated"
