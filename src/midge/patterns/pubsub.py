"""PUB and SUB: to everybody whose prefix the first part begins with (RFC 29).

Filtering is the publisher's: a subscriber tells each publisher what it wants, again after each
reconnect; it tells every wish for a prefix and its last cancel, and counts those between. A
publisher does not wait: what a subscriber has no room for is dropped for him alone, unless
XPUB_NODROP makes the sender wait.

XPUB and XSUB, which see and send subscriptions as messages, are in :mod:`midge.patterns.xpubsub`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from midge.patterns.errors import not_supported
from midge.patterns.options import Options
from midge.patterns.pattern import FULL, NO_PEER, TOO_MANY, UNWANTED, Pattern
from midge.patterns.pipe import CANCEL, SUBSCRIBE, Command, Encoded, Pipe
from midge.patterns.prefixes import LAST, REFUSED, Prefixes, Wanted

#: What a batch of messages of one part is made of.
ONE: Final = {bytes}


def is_wish(part: Any) -> bool:
    """Whether a part of a message asks for a prefix or takes that back: 1 or 0 and the prefix."""
    return len(part) > 0 and part[0] <= 1


class Publisher(Pattern):
    """What PUB and XPUB share: the subscriptions of their peers, and the distribution."""

    __slots__ = ("_last_value", "_subscriptions")

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._subscriptions: Prefixes[Pipe] = Prefixes()
        #: XPUB_MANUAL_LAST_VALUE: the only one that gets the next message.
        self._last_value: Pipe | None = None

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`."""
        super().ready(pipe)
        if self.options.xpub_welcome_message:
            self._put(pipe, self.options.xpub_welcome_message)

    def lost(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.lost`: the subscriber will say again what it wants."""
        self._forget(pipe)

    def detach(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.detach`."""
        if pipe.attached:
            self._forget(pipe)
        super().detach(pipe)

    def _forget(self, pipe: Pipe) -> None:
        self._subscriptions.remove_all(pipe)

    def subscribed(self, pipe: Pipe, prefix: bytes) -> None:
        """See :meth:`Pattern.subscribed`."""
        if self._begin(pipe, prefix):
            self.deliver(pipe, [b"\1" + prefix])

    def cancelled(self, pipe: Pipe, prefix: bytes) -> None:
        """See :meth:`Pattern.cancelled`."""
        if self._end(pipe, prefix):
            self.deliver(pipe, [b"\0" + prefix])

    def _begin(self, pipe: Pipe, prefix: bytes) -> bool:
        """A peer wants a prefix; returns whether the program is to hear of it."""
        if pipe.attached and self._subscriptions.add(prefix, pipe) == REFUSED:
            self._drop(pipe, TOO_MANY)
        return False

    def _end(self, pipe: Pipe, prefix: bytes) -> bool:
        """The peer takes it back; returns the same."""
        self._subscriptions.remove(prefix, pipe)
        return False

    def _without_wishes(self, pipe: Pipe, parts: list[Any]) -> list[Any]:
        """Do what a message of several parts wishes; returns the messages that are left of it.

        libzmq takes each part that looks like a subscription for one, and the others for a message;
        with ONLY_FIRST_SUBSCRIBE it leaves a message whole that does not begin with one.
        """
        if not any(map(is_wish, parts)) or (
            self.options.only_first_subscribe and not is_wish(parts[0])
        ):
            return [parts]
        messages: list[Any] = []
        message: list[Any] = []
        for part in parts:
            if not is_wish(part):
                message.append(part)
                continue
            prefix = bytes(part[1:])
            if self._begin(pipe, prefix) if part[0] else self._end(pipe, prefix):
                if message:
                    messages.append(message if len(message) > 1 else message[0])
                    message = []
                messages.append(bytes(part))
        if message:
            messages.append(message if len(message) > 1 else message[0])
        return messages

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        subscriptions = self._subscriptions
        lengths = subscriptions.lengths
        options = self.options
        targets: Sequence[Pipe] | dict[Pipe, None] | None
        if options.invert_matching or self._last_value is not None:
            targets = self._unusual_targets(item)
        elif lengths == (0,):
            targets = subscriptions.everybody
        else:
            head = item[0] if type(item) is list else item
            if len(lengths) == 1 and type(head) is bytes:
                targets = subscriptions.table.get(head[: lengths[0]])
            else:
                targets = subscriptions.match(head)
        if not targets:
            self.dropped[NO_PEER] = self.dropped.get(NO_PEER, 0) + 1
            return True
        if options.xpub_nodrop and not all(pipe.room() for pipe in targets):
            for pipe in targets:
                pipe.active = pipe.room()
            return False
        what = item
        if len(targets) > 1:
            what = Encoded(item)
        for pipe in targets:
            outgoing = pipe.outgoing
            if pipe.conflate:
                self._replace(pipe, item)
                continue
            mark = pipe.send_mark
            if mark and len(outgoing) + pipe.in_flight >= mark:
                pipe.active = False
                self._drop(pipe, FULL)
                continue
            outgoing.append(what)
            if not pipe.dirty:
                pipe.dirty = True
                self.dirty.append(pipe)
        return True

    def send_many(self, items: Sequence[Any]) -> int:
        """See :meth:`Pattern.send_many`; each subscriber gets its lot in one go."""
        options = self.options
        if (
            self._last_value is not None
            or options.invert_matching
            or options.xpub_nodrop
            or options.conflate
        ):
            return super().send_many(items)
        subscriptions = self._subscriptions
        if subscriptions.lengths == (0,):
            targets = subscriptions.everybody
            lot: Sequence[Any] = items if len(targets) == 1 else [Encoded(item) for item in items]
            for pipe in targets:
                self._put_many(pipe, lot)
        else:
            for pipe, own in self._sorted(items).items():
                self._put_many(pipe, own)
        return len(items)

    def _sorted(self, items: Sequence[Any]) -> dict[Pipe, list[Any]]:
        """Which of the messages are for whom; those for nobody are counted."""
        subscriptions = self._subscriptions
        table = subscriptions.table
        lengths = subscriptions.lengths
        size = lengths[0] if len(lengths) == 1 else -1
        lots: dict[Pipe, list[Any]] = {}
        missed = 0
        for item in items:
            head = item[0] if type(item) is list else item
            if size >= 0 and type(head) is bytes:
                targets = table.get(head[:size])
            else:
                targets = subscriptions.match(head)
            if not targets:
                missed += 1
                continue
            what = item if len(targets) == 1 else Encoded(item)
            for pipe in targets:
                lot = lots.get(pipe)
                if lot is None:
                    lots[pipe] = [what]
                else:
                    lot.append(what)
        if missed:
            self._drop(None, NO_PEER, missed)
        return lots

    def _put_many(self, pipe: Pipe, lot: Sequence[Any]) -> None:
        """Put as many messages into the pipe as its mark allows, and drop the others."""
        outgoing = pipe.outgoing
        room = len(lot)
        if pipe.send_mark:
            room = max(min(room, pipe.send_mark - len(outgoing) - pipe.in_flight), 0)
        if room < len(lot):
            pipe.active = False
            self._drop(pipe, FULL, len(lot) - room)
            outgoing.extend(lot[:room])
        else:
            outgoing.extend(lot)
        if room and not pipe.dirty:
            pipe.dirty = True
            self.dirty.append(pipe)

    def _unusual_targets(self, item: Any) -> list[Pipe]:
        head = item[0] if type(item) is list else item
        matching = self._subscriptions.match(head)
        if self._last_value is not None:
            last = self._last_value
            self._last_value = None
            return [last] if last in matching else []
        return [pipe for pipe in self._pipes if pipe not in matching]

    def drained(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.drained`."""
        pipe.active = pipe.attached and pipe.room()

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`: a publisher that drops never waits."""
        if not self.options.xpub_nodrop:
            return True
        return all(pipe.room() for pipe in self._subscriptions.owners())

    def may_send(self) -> bool:
        """See :meth:`Pattern.may_send`."""
        return self.can_send()

    def subscriber_count(self, prefix: bytes | None = None) -> int:
        """See :meth:`Pattern.subscriber_count`."""
        if prefix is None:
            return len(self._subscriptions.owners())
        matching = self._subscriptions.match(prefix)
        if self.options.invert_matching:
            return sum(1 for pipe in self._pipes if pipe.ready and pipe not in matching)
        return len(matching)

    def topics_count(self) -> int:
        """See :meth:`Pattern.topics_count`."""
        return len(self._subscriptions)


class Pub(Publisher):
    """Publishes, and hears nothing."""

    __slots__ = ()
    type_name = "PUB"
    conflates = True

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`: only what it wishes is heard."""
        unwanted = 0
        for item in items:
            unwanted += len(self._without_wishes(pipe, item)) if type(item) is list else 1
        if unwanted:
            self._drop(pipe, UNWANTED, unwanted)

    def receive(self) -> Any:
        """See :meth:`Pattern.receive`."""
        raise not_supported("PUB sockets do not receive")


class Subscriber(Pattern):
    """What SUB and XSUB share: what we want, told to every publisher."""

    __slots__ = ("_wanted",)

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._wanted = Wanted()

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`: say what we want, before anything else."""
        super().ready(pipe)
        outgoing = pipe.outgoing
        # What was to be said on a connection that is gone would be said twice.
        waiting = [item for item in outgoing if type(item) is not Command]
        outgoing.clear()
        for prefix in self._wanted:
            self._put(pipe, Command(SUBSCRIBE, prefix))
        for item in waiting:
            self._put(pipe, item)

    def _tell(self, kind: int, prefix: bytes) -> None:
        command = Command(kind, prefix)
        for pipe in self._pipes:
            if pipe.ready:
                self._put(pipe, command)

    def topics_count(self) -> int:
        """See :meth:`Pattern.topics_count`."""
        return len(self._wanted)


class Sub(Subscriber):
    """Receives what it has subscribed to, whatever the publishers send."""

    __slots__ = ()
    type_name = "SUB"
    conflates = True

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`; a publisher may send more than we want."""
        lengths = self._wanted.lengths
        if lengths and not lengths[0] and not self.options.invert_matching:
            super().deliver(pipe, items)  # everything is wanted
            return
        wanted = self._wanted_of(items)
        super().deliver(pipe, wanted)
        if len(wanted) < len(items):
            self._drop(pipe, UNWANTED, len(items) - len(wanted))

    def _wanted_of(self, items: Sequence[Any]) -> list[Any]:
        lengths = self._wanted.lengths
        if len(lengths) == 1 and not self.options.invert_matching and set(map(type, items)) == ONE:
            size = lengths[0]
            times = self._wanted.times
            return [item for item in items if item[:size] in times]
        return [item for item in items if self.is_wanted(item)]

    def is_wanted(self, item: Any) -> bool:
        """Whether we have subscribed to a message."""
        head = item[0] if type(item) is list else item
        return self._wanted.matches(head) is not self.options.invert_matching

    def count_unwanted(self, count: int) -> None:
        """Count messages that were received ahead and are not subscribed to any more."""
        self._drop(None, UNWANTED, count)

    def subscribe(self, prefix: bytes) -> None:
        """See :meth:`Pattern.subscribe`; told again each time, for XPUB_VERBOSE."""
        is_new = self._wanted.add(prefix)
        self._tell(SUBSCRIBE, prefix)
        if is_new and self.options.invert_matching:
            self._sift()

    def unsubscribe(self, prefix: bytes) -> None:
        """See :meth:`Pattern.unsubscribe`; what has come and is not wanted any more goes."""
        if self._wanted.remove(prefix) == LAST:
            self._tell(CANCEL, prefix)
            self._sift()

    def _sift(self) -> None:
        for pipe in list(self._waiting):
            kept = [item for item in pipe.incoming if self.is_wanted(item)]
            lost = len(pipe.incoming) - len(kept)
            if lost:
                pipe.incoming.clear()
                pipe.incoming.extend(kept)
                if not kept:
                    self._waiting.remove(pipe)
                self._drop(pipe, UNWANTED, lost)
