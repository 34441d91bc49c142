"""`gateway.toml` and the files beside it, read into Settings; every promise between two settings is checked here.

The annotated reference of every key is `config/gateway.toml` itself. Nothing below `wiring` sees Settings.
"""

from .faults import BrokenConfig, SettingFault
from .load import Beside, Loaded, load
from .settings import Account, Caller, Delivery, Server, Settings, Store, Zalo, key_digest

__all__ = [
    "Account",
    "Beside",
    "BrokenConfig",
    "Caller",
    "Delivery",
    "Loaded",
    "Server",
    "SettingFault",
    "Settings",
    "Store",
    "Zalo",
    "key_digest",
    "load",
]
