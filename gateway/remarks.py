"""What is said of the grants: what lasts is said once by every process, however often it is looked at."""

from typing import Final

from .core.errors import CannotOpen, Unavailable
from .core.grant import Dead, Lost, NotPresented, RefreshResult, Refused, Trouble
from .core.grant_health import cure_of
from .ports import Observer

_SEALED_CURE: Final = "put the key back into secrets.keys, or bring a new grant with --replace"


class Remarks:
    """Tells the observer what became of each account's grant."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._sealed: set[str] = set()
        self._failed: dict[str, str] = {}
        self._troubles: dict[str, tuple[str, bool] | None] = {}

    def sealed(self, account: str, error: CannotOpen) -> None:
        """No key opens the grant."""
        if account not in self._sealed:
            self._sealed.add(account)
            self._observer.fact("grant-sealed", account=account, cause=error.detail, cure=_SEALED_CURE)

    def trouble(self, account: str, trouble: Trouble | None) -> None:
        """The grant opens, and this is wrong with it; said also by a process that starts long after it came about."""
        self._sealed.discard(account)
        told = None if trouble is None else (trouble.kind, trouble.is_final)
        if trouble is not None and self._troubles.get(account) != told:
            self._observer.fact(
                "grant-troubled", account=account, cause=trouble.detail, cure=cure_of(trouble, account)
            )
        self._troubles[account] = told

    def failed(self, account: str, error: Exception) -> None:
        """The grant could not be looked after."""
        cause = str(error.__cause__ or error)
        if self._failed.get(account) == cause:
            return
        self._failed[account] = cause
        if isinstance(error, Unavailable):
            self._observer.fact("store-unavailable", doing="look-at-grant", account=account, cause=cause)
        else:
            self._observer.fact("turn-failed", error=error)

    def looked(self, account: str) -> None:
        """The grant was looked after: what keeps that from being done from now on is said again."""
        self._failed.pop(account, None)

    def refreshed(self, account: str, result: RefreshResult) -> None:
        """This is what a presentation came to."""
        cause = None
        if isinstance(result, Dead | Refused):
            cause = result.detail
        elif isinstance(result, Lost | NotPresented):
            cause = result.cause
        self._observer.fact("refreshed", account=account, outcome=type(result).__name__.lower(), cause=cause)
