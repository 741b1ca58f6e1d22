"""XPUB and XSUB: PUB and SUB whose subscriptions are messages, for proxies (RFC 29).

Such a message has one part: 1 or 0, and the prefix. A message of several parts is never one: this
is what ONLY_FIRST_SUBSCRIBE asks for, and the only reading in which a message stays whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from midge.patterns.errors import invalid
from midge.patterns.options import Options
from midge.patterns.pattern import FULL, NO_PEER, TOO_MANY
from midge.patterns.pipe import CANCEL, SUBSCRIBE, Pipe
from midge.patterns.prefixes import FIRST, LAST, REFUSED, UNKNOWN, Prefixes
from midge.patterns.pubsub import Publisher, Subscriber


class XPub(Publisher):
    """Publishes, and receives subscriptions as messages, and messages of XSUB peers.

    They come in the order in which they came in, over all peers: turns would let the end of a
    subscription overtake its beginning, where one peer's cancel follows another's wish.
    """

    __slots__ = ("_asked", "_asker")
    type_name = "XPUB"

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        #: XPUB_MANUAL: what peers asked for, whatever they were given.
        self._asked: Prefixes[Pipe] = Prefixes()
        #: Whose wish the program has received last.
        self._asker: Pipe | None = None

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`; a pipe waits once for each message."""
        pipe.incoming.extend(items)
        self._waiting.extend([pipe] * len(items))

    def receive(self) -> Any:
        """See :meth:`Pattern.receive`."""
        if not self._waiting:
            return None
        pipe = self._waiting.popleft()
        item = pipe.incoming.popleft()
        self.last_pipe = pipe
        if type(item) is bytes and item[:1] in (b"\1", b"\0"):
            self._asker = pipe
        if pipe.paused:
            self._relieve(pipe)
        return item

    def subscribed(self, pipe: Pipe, prefix: bytes) -> None:
        """See :meth:`Pattern.subscribed`."""
        if not pipe.attached:
            return
        options = self.options
        table = self._asked if options.xpub_manual else self._subscriptions
        what = table.add(prefix, pipe)
        if what == REFUSED:
            self._drop(pipe, TOO_MANY)
        elif what == FIRST or options.xpub_manual or options.xpub_verbose:
            self.deliver(pipe, [b"\1" + prefix])

    def cancelled(self, pipe: Pipe, prefix: bytes) -> None:
        """See :meth:`Pattern.cancelled`; the end of a peer has cancelled everything already."""
        if not pipe.attached:
            return
        options = self.options
        table = self._asked if options.xpub_manual else self._subscriptions
        what = table.remove(prefix, pipe)
        if what == LAST or options.xpub_manual or (what != UNKNOWN and options.xpub_verboser):
            self.deliver(pipe, [b"\0" + prefix])

    def _forget(self, pipe: Pipe) -> None:
        options = self.options
        asked = self._asked.of(pipe)
        self._asked.remove_all(pipe)
        mine = self._subscriptions.of(pipe)
        gone = self._subscriptions.remove_all(pipe)
        if self._last_value is pipe:
            self._last_value = None
        told = asked if options.xpub_manual else mine if options.xpub_verboser else gone
        self.deliver(pipe, [b"\0" + prefix for prefix in told])

    def subscribe(self, prefix: bytes) -> None:
        """XPUB_MANUAL: let the peer whose wish was received last have this prefix."""
        pipe = self._manual_peer()
        if pipe is not None:
            if self._subscriptions.add(prefix, pipe) == REFUSED:
                self._drop(pipe, TOO_MANY)
            if self.options.xpub_manual_last_value:
                self._last_value = pipe

    def unsubscribe(self, prefix: bytes) -> None:
        """XPUB_MANUAL: take it from that peer."""
        pipe = self._manual_peer()
        if pipe is not None:
            self._subscriptions.remove(prefix, pipe)

    def _manual_peer(self) -> Pipe | None:
        if not self.options.xpub_manual:
            raise invalid("an XPUB socket gives and takes subscriptions with XPUB_MANUAL only")
        pipe = self._asker
        return pipe if pipe is not None and pipe.attached else None


class XSub(Subscriber):
    """Subscribes by sending messages; others go to the publishers. It does not filter."""

    __slots__ = ()
    type_name = "XSUB"

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`: 1 or 0 and a prefix is a wish, anything else a message.

        Every wish is passed on, also one that was made before, for an XPUB_VERBOSE that wants to
        know; of the cancels only the last one is, unless XSUB_VERBOSE_UNSUBSCRIBE is set.
        """
        if type(item) is not list and len(item) and item[0] <= 1:
            prefix = bytes(item[1:])
            if item[0]:
                self._wanted.add(prefix)
                self._tell(SUBSCRIBE, prefix)
            else:
                what = self._wanted.remove(prefix)
                if what == LAST or (what != UNKNOWN and self.options.xsub_verbose_unsubscribe):
                    self._tell(CANCEL, prefix)
            return True
        if not self._pipes:
            self._drop(None, NO_PEER)
        for pipe in self._pipes:
            if pipe.room():
                self._put(pipe, item)
            else:
                pipe.active = False
                self._drop(pipe, FULL)
        return True

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        pipe.active = pipe.attached and pipe.room()

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`."""
        return True
