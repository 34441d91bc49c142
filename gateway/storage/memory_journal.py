"""The answers to refreshes in a plain dictionary: no crash of a process is outlived."""

from collections.abc import Callable

from gateway.core.errors import Unavailable
from gateway.core.grant import Grant, Intent, RefreshToken
from gateway.ports import Entry, Heard

_Key = tuple[str, int, Intent]


class MemoryJournal:
    """Keeps the answers for as long as the process lives; while `is_down` there is no room for any."""

    def __init__(self) -> None:
        self.is_down = False
        self._pages: dict[_Key, _Page] = {}

    def open(self, grant: Grant, *, besides: Intent | None = None) -> Entry:
        """The room for the answer to the presentation that the grant intends; raises Unavailable."""
        if grant.intent is None:
            raise ValueError("an answer belongs to an intent")
        if self.is_down:
            raise Unavailable("no room can be had for the answer to a refresh")
        mine = grant.account, grant.intent.owner
        kept = grant.generation, besides
        self._remove(lambda it: (it[0], it[2].owner) == mine and it[1:] != kept)
        page = self._pages[grant.account, grant.generation, grant.intent] = _Page(grant.refresh)
        return page

    def read(self, grant: Grant) -> Heard | None:
        """The answer to the presentation that the grant intends, if it was written down whole."""
        page = self._page(grant)
        return None if page is None or page.is_gone else page.heard

    def late(self, grant: Grant) -> list[Heard]:
        """Every answer to a presentation of this refresh token that was written down whole, whoever asked."""
        whose = grant.account, grant.generation
        pages = [page for key, page in self._pages.items() if key[:2] == whose and page.presented == grant.refresh]
        return [page.heard for page in pages if page.heard is not None]

    def void(self, grant: Grant) -> bool:
        """True if nothing was asked under the grant's intent, and nothing will be; False where nobody can tell."""
        page = self._page(grant)
        if page is None or not page.is_unasked:
            return False
        page.is_gone = True
        return True

    def drop(self, grant: Grant) -> None:
        """Not needed any more: this answer, those of older generations, what others of this one did not use."""
        own = grant.account, grant.generation, grant.intent

        def is_over(it: _Key) -> bool:
            if it[0] != grant.account or it[1] > grant.generation:
                return False
            return it == own or it[1] < grant.generation or self._pages[it].is_unasked

        self._remove(is_over)

    def _page(self, grant: Grant) -> "_Page | None":
        return None if grant.intent is None else self._pages.get((grant.account, grant.generation, grant.intent))

    def _remove(self, is_meant: Callable[[_Key], bool]) -> None:
        for key in [it for it in self._pages if is_meant(it)]:
            self._pages.pop(key).is_gone = True


class _Page:
    """The mark that a question may have left, and then its answer."""

    def __init__(self, presented: RefreshToken) -> None:
        self.presented = presented
        self.is_unasked = True
        self.is_gone = False
        self.heard: Heard | None = None

    def begin(self) -> bool:
        self.is_unasked, self.heard = False, None
        return not self.is_gone

    def __call__(self, status: int, body: bytes) -> None:
        self.is_unasked = False
        self.heard = Heard(status, body)
