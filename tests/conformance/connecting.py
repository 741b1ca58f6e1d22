"""What the tests about CONNECT share: its flags, its payload, and somebody at the door."""

from __future__ import annotations

from midge.auth.base import ALLOWED, Decision, Identity, deny
from midge.mqtt.reasons import Reason
from tests.conformance.support import string

#: Connect flags (section 3.1.2.3), to be added to 2, Clean Start.
WILL, USER, PASSWORD = 0x04, 0x80, 0x40

_WILL_FIELDS = {4: string(b"w") + string(b"m"), 5: b"\0" + string(b"w") + string(b"m")}


def connect_payload(version: int, *parts: str) -> bytes:
    """CONNECT's payload with the named fields, in that order."""
    fields = {
        "id": string(b"c"),
        "will": _WILL_FIELDS[version],
        "user": string(b"someone"),
        "password": string(b"secret"),
        "rest": b"\0",
    }
    return b"".join(fields[part] for part in parts)


class Doorkeeper:
    """Lets in whoever says the password, and notes what it was told."""

    def __init__(self, password: bytes | None = None) -> None:
        self.password = password
        self.seen: list[tuple[str, str | None, bytes | None]] = []

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        self.seen.append((client.client_id, client.username, password))
        if self.password is None or password == self.password:
            return ALLOWED
        return deny("wrong password", int(Reason.BAD_USER_NAME_OR_PASSWORD))
