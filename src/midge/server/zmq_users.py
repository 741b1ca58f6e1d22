"""ZeroMQ peers after a reload: their listener may know other keys, or ask for keys at all.

What passwords and rules say about them, :mod:`midge.server.security` looks after, as with MQTT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.base import CERTIFICATE
from midge.mqtt.reasons import Reason
from midge.server.clients import ZmqClient
from midge.zmtp.settings import CURVE

if TYPE_CHECKING:
    from midge.links.zmq_place import Place
    from midge.server.listeners import OpenListener
    from midge.server.logs import Log
    from midge.server.mqtt_server import MqttServer


def show_out_strangers(server: MqttServer, listeners: list[OpenListener], log: Log) -> None:
    """End the connections of peers that would not get through their listener's handshake now."""
    for listener in listeners:
        place = listener.place
        if place is None:
            continue
        for client in list(server.clients):
            is_there = client.listener is listener.settings and client.end_reason < 0
            if is_there and isinstance(client, ZmqClient):
                _look_at(client, place, log)
    server.wake()


def _look_at(client: ZmqClient, place: Place, log: Log) -> None:
    if client.session is None:
        client.place = place  # its handshake is not done, and ends by the keys of today
        return
    why = _why_gone(client, place)
    if why:
        log.notice(f"Client {client.client_id} is shown out: {why}.")
        client.end(int(Reason.ADMINISTRATIVE_ACTION), "it may no longer come in")


def _why_gone(client: ZmqClient, place: Place) -> str:
    """Why a peer may not stay; empty for one that may."""
    if place.settings.mechanism != CURVE:
        if client.identity.proof == CERTIFICATE:
            return "its listener takes no CURVE keys any more"
        return ""
    if client.key is None:
        return "its listener asks for a CURVE key now"
    user = place.users_by_key.get(client.key)
    if user is None:
        return "its CURVE key is not in zmtp_curve_keys any more"
    if user != client.identity.username:
        return f"its CURVE key is {user}'s now"
    return ""
