"""A key set that is fetched (JWKS, RFC 7517) and fetched again when a token names another key."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from midge.auth.base import PASS, Decision, Pending
from midge.auth.jwt import Key, read_keys
from midge.errors import MidgeError
from midge.limits import JWKS_REFRESH_LEAST_S, JWKS_REFRESH_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.auth.offload import Offload


class FetchedKeys:
    """The :class:`~midge.auth.jwt.KeySource` of a URL.

    While there are no new keys, the old ones stay: that a server cannot be reached for a while does
    not lock out those whose keys are known.

    Args:
        url: where the set is.
        offload: where it is fetched.
        request: sends a request and returns status and body, as ``auth.http.HttpClient`` does.
        now: the broker's clock.
        report: is told when it cannot be fetched.

    Attributes:
        keys: those that came last; none before they were fetched for the first time.
    """

    __slots__ = (
        "_fetched_at",
        "_now",
        "_offload",
        "_report",
        "_request",
        "_url",
        "_waiting",
        "keys",
    )

    def __init__(
        self,
        url: str,
        offload: Offload,
        request: Callable[[str, str], tuple[int, bytes]],
        now: Callable[[], float],
        report: Callable[[str], None],
    ) -> None:
        self._url = url
        self._offload = offload
        self._request = request
        self._now = now
        self._report = report
        self._fetched_at = float("-inf")
        self._waiting: list[Pending] | None = None
        self.keys: list[Key] = []

    def start(self) -> None:
        """Fetch for the first time, before anybody asks."""
        self.refresh()

    def refresh_if_old(self) -> None:
        """Fetch again, when the last time was long ago; keys are withdrawn that way."""
        if self._now() - self._fetched_at > JWKS_REFRESH_S:
            self.refresh()

    def refresh(self) -> Pending | None:
        """See :meth:`midge.auth.jwt.KeySource.refresh`."""
        if self._waiting is None:
            if self._now() - self._fetched_at < JWKS_REFRESH_LEAST_S:
                return None
            job = self._offload.submit(
                self._url, partial(_fetch, self._request, self._url), self._fetched
            )
            if job is None:
                return None
            self._fetched_at = self._now()
            self._waiting = []
        pending = Pending()
        self._waiting.append(pending)
        return pending

    def _fetched(self, result: object, now: float) -> None:
        if isinstance(result, list):
            self.keys = result
        else:
            self._report(f"Error: Unable to fetch the keys of '{self._url}': {result}")
        waiting, self._waiting = self._waiting, None
        for pending in waiting or ():
            pending.settle(Decision(PASS, "its key is not known"), now)


def _fetch(request: Callable[[str, str], tuple[int, bytes]], url: str) -> list[Key]:
    """In a worker."""
    status, body = request("GET", url)
    if status != 200:
        raise MidgeError(f"status {status}")
    if not body.lstrip().startswith(b"{"):
        raise MidgeError("it is no key set")
    return read_keys(body, url)
