"""The only room that builds things and sees Settings.

`from_settings` says what each part gets of them, `parts` what is made of what, `gateway` how the whole starts and rests.
"""

from .from_settings import logins_of, now, zalo_of
from .gateway import Gateway, running

__all__ = ["Gateway", "logins_of", "now", "running", "zalo_of"]
