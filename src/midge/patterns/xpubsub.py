"""XPUB and XSUB: PUB and SUB whose subscriptions are messages, for proxies (RFC 29).

Such a message has one part: 1 or 0, and the prefix. In a message of several parts each part of that
form is a subscription, too, as in libzmq; which is why a message whose later parts may begin with
such a byte needs ONLY_FIRST_SUBSCRIBE at both ends. What the program receives of such a mixture is
each subscription as a message of its own: libzmq hangs it on the parts before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from midge.patterns.errors import invalid
from midge.patterns.options import Options
from midge.patterns.pattern import FULL, NO_PEER, TOO_MANY
from midge.patterns.pipe import CANCEL, SUBSCRIBE, Pipe
from midge.patterns.prefixes import FIRST, LAST, REFUSED, UNKNOWN, Prefixes
from midge.patterns.pubsub import Publisher, Subscriber, is_wish


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
        if list in map(type, items):
            left: list[Any] = []
            for item in items:
                if type(item) is list:
                    left += self._without_wishes(pipe, item)
                else:
                    left.append(item)
            items = left
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

    def _begin(self, pipe: Pipe, prefix: bytes) -> bool:
        if not pipe.attached:
            return False
        options = self.options
        table = self._asked if options.xpub_manual else self._subscriptions
        what = table.add(prefix, pipe)
        if what == REFUSED:
            self._drop(pipe, TOO_MANY)
            return False
        return what == FIRST or options.xpub_manual or options.xpub_verbose

    def _end(self, pipe: Pipe, prefix: bytes) -> bool:
        if not pipe.attached:  # the end of a peer has cancelled everything already
            return False
        options = self.options
        table = self._asked if options.xpub_manual else self._subscriptions
        what = table.remove(prefix, pipe)
        return what == LAST or options.xpub_manual or (what != UNKNOWN and options.xpub_verboser)

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
        if type(item) is list:
            if any(map(is_wish, item)) and (
                is_wish(item[0]) or not self.options.only_first_subscribe
            ):
                self._send_mixture(item)
                return True
        elif is_wish(item):
            prefix = bytes(item[1:])
            if self._note(item):
                self._tell(SUBSCRIBE if item[0] else CANCEL, prefix)
            return True
        self._send_to(item, self._pipes)
        return True

    def _send_to(self, item: Any, pipes: Iterable[Pipe]) -> None:
        if not self._pipes:
            self._drop(None, NO_PEER)
        for pipe in pipes:
            if pipe.room():
                self._put(pipe, item)
            else:
                pipe.active = False
                self._drop(pipe, FULL)

    def _note(self, wish: Any) -> bool:
        """Want a prefix, or want it no more; returns whether publishers are to know."""
        prefix = bytes(wish[1:])
        if wish[0]:
            self._wanted.add(prefix)
            return True
        what = self._wanted.remove(prefix)
        return what == LAST or (what != UNKNOWN and self.options.xsub_verbose_unsubscribe)

    def _send_mixture(self, parts: list[Any]) -> None:
        """Send a message that has wishes among its parts, in its order.

        Whatever the marks say, as with all wishes. A peer that is not there yet hears what we want
        when it comes: for him the other parts are a message.
        """
        parts = [part for part in parts if not is_wish(part) or self._note(part)]
        rest = [part for part in parts if not is_wish(part)]
        for pipe in self._pipes:
            if pipe.ready and parts:
                self._put(pipe, parts if len(parts) > 1 else parts[0])
        if rest:
            message = rest if len(rest) > 1 else rest[0]
            self._send_to(message, [pipe for pipe in self._pipes if not pipe.ready])

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        pipe.active = pipe.attached and pipe.room()

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`."""
        return True

    def may_send(self) -> bool:
        """See :meth:`Pattern.may_send`."""
        return True
