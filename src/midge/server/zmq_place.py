"""``protocol zmtp``: what a listener's settings mean for the ZeroMQ peers that come in there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.config.settings import anonymous_allowed
from midge.errors import ConfigError
from midge.links.zmq_place import Place
from midge.zmtp.errors import MissingCrypto
from midge.zmtp.settings import CURVE, NULL, Settings
from midge.zmtp.sockets import ANY
from midge.zmtp.z85 import decode

if TYPE_CHECKING:
    from midge.config.settings import ListenerSettings
    from midge.config.settings import Settings as BrokerSettings


def make_place(settings: BrokerSettings, listener: ListenerSettings) -> Place | None:
    """What is served at a listener; ``None`` where it does not speak ZMTP.

    Raises:
        ConfigError: a file cannot be used, or a library is missing.
    """
    if listener.protocol != "zmtp":
        return None
    mechanism = listener.zmtp_mechanism.upper()
    secret = b""
    users_by_key: dict[bytes, str] = {}
    if mechanism == CURVE:
        secret = _read_secret(listener.zmtp_curve_secret)
        users_by_key = _read_keys(listener.zmtp_curve_keys)
    # No PINGs: a peer that has as much as it can hold reads nothing, and so does not answer, for as
    # long as its program takes. The system sees to hosts that are gone, see `keep_alive`.
    zmtp = Settings(
        ANY,
        mechanism=mechanism,
        as_server=mechanism != NULL,
        curve_secret=secret,
        zap=mechanism != NULL or not anonymous_allowed(settings, listener),
        message_bytes_max=settings.packet_bytes_max,
        parts_bytes_max=settings.packet_bytes_max,
        handshake_s=settings.connect_timeout_s,
    )
    queues = dict(_user_and_queue(text) for text in listener.zmtp_user_queues)
    return Place(zmtp, listener.zmtp_queue or "", queues, users_by_key)


def _user_and_queue(text: str) -> tuple[str, str]:
    user, _, queue = text.rpartition(" ")
    return user.strip(), queue


def _read_secret(path: str | None) -> bytes:
    """The secret key of a certificate file, as ``midge zmq keygen`` writes it."""
    if path is None:
        raise ConfigError("Error: zmtp_mechanism curve needs zmtp_curve_secret.")
    try:
        from midge.zmtp.curve import load_sodium

        load_sodium()
    except MissingCrypto as error:
        raise ConfigError(f"Error: {error}.") from None
    from midge.zmq.auth.certs import load_certificate

    try:
        _, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"Error: zmtp_curve_secret '{path}' cannot be used: {error}.") from None
    if secret is None:
        raise ConfigError(f"Error: '{path}' holds no secret key; use the file *.key_secret.")
    return decode(secret)


def _read_keys(path: str | None) -> dict[bytes, str]:
    """Lines of a user's name and his public key in Z85."""
    if path is None:
        raise ConfigError(
            "Error: zmtp_mechanism curve needs zmtp_curve_keys, a file with a user and his public "
            "key on each line."
        )
    found: dict[bytes, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Error: Unable to open zmtp_curve_keys '{path}': {error}.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        user, _, key = line.strip().rpartition(" ")
        try:
            raw = decode(key.encode())
        except ValueError:
            raw = b""
        if len(raw) != 32 or not user.strip():
            raise ConfigError(
                f"Error: a line of zmtp_curve_keys is a user and 40 characters of key ({path}:"
                f"{number})."
            )
        found[raw] = user.strip()
    return found
