"""Other people's MQTT clients behind one interface, each run as its own users run it."""

from __future__ import annotations

from tests.interop.asyncio_clients import Aiomqtt, Gmqtt
from tests.interop.client import Client, Properties, Received, Will
from tests.interop.mosquitto_client import Mosquitto
from tests.interop.mqttjs_client import MqttJs
from tests.interop.paho_client import Paho

__all__ = [
    "KINDS",
    "Aiomqtt",
    "Client",
    "Gmqtt",
    "Mosquitto",
    "MqttJs",
    "Paho",
    "Properties",
    "Received",
    "Will",
]

KINDS: tuple[type[Client], ...] = (Mosquitto, Paho, Aiomqtt, Gmqtt, MqttJs)
