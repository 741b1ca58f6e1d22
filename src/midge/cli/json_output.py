"""Messages as JSON, for the ``%j`` and ``%J`` of a format. Loaded when one of them is asked for."""

from __future__ import annotations

import json
import time

from midge.mqtt import properties as props
from midge.mqtt.packets import Publish
from midge.mqtt.properties import Properties

_NAMES = {
    props.PAYLOAD_FORMAT_INDICATOR: "payload-format-indicator",
    props.MESSAGE_EXPIRY_INTERVAL: "message-expiry-interval",
    props.CONTENT_TYPE: "content-type",
    props.RESPONSE_TOPIC: "response-topic",
    props.CORRELATION_DATA: "correlation-data",
    props.TOPIC_ALIAS: "topic-alias",
}


def message_json(packet: Publish, payload_is_json: bool, pretty: bool) -> bytes:
    """A message as one JSON object; with ``payload_is_json``, the payload is a part of it.

    Raises:
        ValueError: the payload was to be JSON and is none.
    """
    message: dict[str, object] = {
        "tst": _timestamp(),
        "topic": packet.topic,
        "qos": packet.qos,
        "retain": packet.retain,
        "payloadlen": len(packet.payload),
    }
    if packet.qos:
        message["mid"] = packet.packet_id
    if packet.properties:
        message["properties"] = _properties(packet.properties)
    message["payload"] = _payload(packet, payload_is_json)
    if pretty:
        text = json.dumps(message, ensure_ascii=False, indent="\t")
    else:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogateescape")


def _payload(packet: Publish, is_json: bool) -> object:
    if not packet.payload:
        return None
    if not is_json:
        # What is not UTF-8 passes through as it is.
        return packet.payload.decode(errors="surrogateescape")
    try:
        return json.loads(packet.payload, parse_float=_number)
    except (ValueError, RecursionError):
        raise ValueError(
            f"Error: Message payload is not valid JSON on topic {packet.topic}."
        ) from None


def _number(text: str) -> int | float:
    """A number with a fraction or an exponent; ``1e3`` is printed as ``1000``."""
    value = float(text)
    return int(value) if abs(value) < 1e15 and value == int(value) else value


def _properties(properties: Properties) -> dict[str, object]:
    found: dict[str, object] = {}
    for identifier, value in properties.values.items():
        name = _NAMES.get(identifier)
        if name is not None:
            found[name] = (
                value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
            )
    if properties.user:
        found["user-properties"] = [{name: value} for name, value in properties.user]
    if properties.subscription_ids:
        found["subscription-identifier"] = properties.subscription_ids[0]
    return found


def _timestamp() -> str:
    now_ns = time.time_ns()
    seconds, rest = divmod(now_ns, 1_000_000_000)
    local = time.localtime(seconds)
    micros = rest // 1000
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{micros:06d}{time.strftime('%z', local)}"
