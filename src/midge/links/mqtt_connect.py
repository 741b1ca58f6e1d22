"""CONNECT: who a client is, whether it may come in, and what it is told (sections 3.1, 3.2, 4.12).

The steps of one CONNECT in their order: what can be refused at once, authentication (which may take
an exchange of AUTH packets), the session, the CONNACK, and what waited for the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.acl_rules import never_written
from midge.auth.base import ALLOW, CERTIFICATE, PENDING, WILL, Decision, Identity, Pending
from midge.auth.extended import ALLOW as STEP_ALLOW
from midge.auth.extended import CONTINUE, Exchange, Step
from midge.broker.permission import forbidden_queues, may_get
from midge.broker.session import EXPIRES_NEVER, Session
from midge.config.settings import anonymous_allowed
from midge.limits import PACKET_ID_MAX
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import CONNACK_V3, Reason
from midge.topics.remap import fault_of_topic, is_mounted, mounted_topic

if TYPE_CHECKING:
    from midge.links.mqtt import MqttLink


class Authentication:
    """An exchange that is under way.

    Attributes:
        exchange: the method's side of it.
        connect: the CONNECT that waits for it; ``None`` for a re-authentication.
        client_id: as whom the client wants to come in.
    """

    __slots__ = ("client_id", "connect", "exchange")

    def __init__(self, exchange: Exchange, connect: p.Connect | None, client_id: str) -> None:
        self.exchange = exchange
        self.connect = connect
        self.client_id = client_id


def connect(link: MqttLink, packet: p.Connect, now: float) -> None:
    """A client wants to come in."""
    link.broker.metrics.connects += 1
    properties = packet.properties
    if properties is not None:
        link.problem_information = properties.get_int(props.REQUEST_PROBLEM_INFORMATION, 1) == 1
    link.client_id = packet.client_id
    fault = _inadmissible(link, packet)
    if fault is not None:
        refuse(link, packet.client_id, fault[0], fault[1], now)
        return
    client_id = packet.client_id
    if not client_id:
        client_id = _new_client_id(link)
    username = packet.username
    if link.listener.use_identity_as_username or link.listener.use_subject_as_username:
        # What it says of itself does not count.
        username = link.certified
        if username is None:
            text = "its certificate does not say who it is"
            refuse(link, client_id, int(Reason.NOT_AUTHORIZED), text, now)
            return
    if link.listener.use_username_as_client_id:
        if not username:
            refuse(
                link,
                client_id,
                int(Reason.NOT_AUTHORIZED),
                "a user name is needed here: it becomes the client id",
                now,
            )
            return
        client_id = username
    prefix = link.broker.settings.client_id_prefix
    if prefix is not None and not client_id.startswith(prefix):
        text = f"its client id does not begin with {prefix!r}, as clientid_prefixes demands"
        refuse(link, client_id, int(Reason.NOT_AUTHORIZED), text, now)
        return
    method = None if properties is None else properties.get_str(props.AUTHENTICATION_METHOD)
    if method is not None:
        _begin_exchange(link, packet, client_id, method, now)
        return
    _ask(link, packet, client_id, username, now)


def _ask(
    link: MqttLink, packet: p.Connect, client_id: str, username: str | None, now: float
) -> None:
    """Have it decided whether the client may come in; that may take a while."""
    link.identity = _identity(link, client_id, username)
    authenticator = link.broker.authenticator
    if authenticator is None:
        accept(link, packet, client_id, None, now)
        return

    def decided(made: Decision, now: float) -> None:
        if link.broker.authenticator is authenticator:
            _decided(link, packet, client_id, made, now)
        else:  # others decide by now
            _ask(link, packet, client_id, username, now)

    decision = authenticator.authenticate(link.identity, packet.password)
    if decision.outcome == PENDING:
        link.wait_for(decision, decided)  # until then the client is not read
    else:
        _decided(link, packet, client_id, decision, now)


def _identity(link: MqttLink, client_id: str, username: str | None) -> Identity:
    identity = Identity(
        client_id,
        username,
        link.address,
        link.listener.name(link.listener_port),
        anonymous_allowed(link.broker.settings, link.listener),
    )
    listener = link.listener
    if listener.use_identity_as_username or listener.use_subject_as_username:
        identity.proof = CERTIFICATE
    return identity


def _decided(
    link: MqttLink, packet: p.Connect, client_id: str, decision: Decision, now: float
) -> None:
    if decision.outcome != ALLOW:
        # The text is for the log. Whoever is not let in learns neither which names there are nor
        # where the rules stand.
        told = "server busy" if decision.reason == Reason.SERVER_BUSY else "not authorised"
        refuse(link, client_id, decision.reason, decision.text, now, told)
    else:
        accept(link, packet, client_id, None, now)


def _inadmissible(link: MqttLink, packet: p.Connect) -> tuple[int, str] | None:
    """What can be refused without asking anyone: reason code and text."""
    settings = link.broker.settings
    if packet.version not in link.listener.protocol_versions:
        return int(Reason.UNSUPPORTED_PROTOCOL_VERSION), "protocol version not accepted here"
    if not packet.client_id:
        if packet.version == p.MQTT_31 or (packet.version == p.MQTT_311 and not packet.clean_start):
            # [3.1.1: MQTT-3.1.3-8]
            return int(Reason.CLIENT_IDENTIFIER_NOT_VALID), "a client id is needed here"
        allowed = link.listener.allow_zero_length_client_id
        if not (settings.allow_zero_length_client_id if allowed is None else allowed):
            return int(Reason.CLIENT_IDENTIFIER_NOT_VALID), "zero length client ids are not allowed"
    will = packet.will
    if will is not None:
        if will.retain and not settings.retain_available:
            return int(Reason.RETAIN_NOT_SUPPORTED), "retain is not available"
        if will.qos > link.max_qos:
            return int(Reason.QOS_NOT_SUPPORTED), f"a will at QoS {will.qos} is not allowed here"
    if packet.version != p.MQTT_5 and _keepalive_too_long(link, packet.keepalive_s):
        # 3.1.1 cannot be told another one. Mosquitto's answer.
        return int(Reason.CLIENT_IDENTIFIER_NOT_VALID), "keep alive is longer than max_keepalive"
    return None


def _keepalive_too_long(link: MqttLink, keepalive_s: int) -> bool:
    longest = link.broker.settings.max_keepalive_s
    return bool(longest) and (keepalive_s == 0 or keepalive_s > longest)


def _new_client_id(link: MqttLink) -> str:
    """An id that no session has [MQTT-3.2.2-16]."""
    prefix = link.listener.auto_id_prefix
    if prefix is None:
        prefix = link.broker.settings.auto_id_prefix
    while True:
        client_id = prefix + link.broker.new_client_id()
        if link.broker.sessions.get(client_id) is None:
            return client_id


def refuse(
    link: MqttLink, client_id: str, reason: int, text: str, now: float, told: str | None = None
) -> None:
    """Answer CONNECT with a refusal; the connection closes.

    Args:
        text: why, for the log.
        told: why, for the client, where it is not to know ``text``.
    """
    link.broker.hooks.refused(link, client_id, reason, text)
    link.end_reason = reason
    link.end_text = text
    link.closing = True
    if link.connection.version == p.MQTT_5:
        link.connection.violate(reason, text if told is None else told)
    elif reason in CONNACK_V3:
        link.connection.send(p.Connack(CONNACK_V3[reason]), now)


# -- extended authentication ----------------------------------------------------------------


def _begin_exchange(
    link: MqttLink, packet: p.Connect, client_id: str, method: str, now: float
) -> None:
    authenticator = link.broker.extended.get(method)
    if authenticator is None:
        refuse(
            link,
            client_id,
            int(Reason.BAD_AUTHENTICATION_METHOD),
            f"authentication method {method} is not known here",
            now,
        )
        return
    link.auth_method = method
    exchange = authenticator.begin(client_id, packet.username)
    link.authentication = Authentication(exchange, packet, client_id)
    assert packet.properties is not None
    _step(link, packet.properties.get_bytes(props.AUTHENTICATION_DATA), now)


def authenticate(link: MqttLink, packet: p.Auth, now: float) -> None:
    """An AUTH from the client: the exchange goes on, or begins again on a live connection."""
    properties = packet.properties
    method = None if properties is None else properties.get_str(props.AUTHENTICATION_METHOD)
    if not link.auth_method or method != link.auth_method:
        # [MQTT-4.12.0-5]: the method of the CONNECT, and none without one [MQTT-4.12.0-6].
        _fail(link, int(Reason.PROTOCOL_ERROR), "AUTH with another method than CONNECT's", now)
        return
    data = None if properties is None else properties.get_bytes(props.AUTHENTICATION_DATA)
    if packet.reason == Reason.REAUTHENTICATE:
        if link.session is None or link.authentication is not None:
            _fail(link, int(Reason.PROTOCOL_ERROR), "re-authentication out of turn", now)
            return
        exchange = link.broker.extended[link.auth_method].begin(
            link.client_id, link.session.username
        )
        link.authentication = Authentication(exchange, None, link.client_id)
    elif link.authentication is None or packet.reason != Reason.CONTINUE_AUTHENTICATION:
        _fail(link, int(Reason.PROTOCOL_ERROR), "AUTH out of turn", now)
        return
    _step(link, data, now)


def _step(link: MqttLink, data: bytes | None, now: float) -> None:
    authentication = link.authentication
    assert authentication is not None
    step = authentication.exchange.step(data)
    if step.outcome == CONTINUE:
        link.connection.send(
            p.Auth(int(Reason.CONTINUE_AUTHENTICATION), _auth_properties(link, step)), now
        )
        return
    link.authentication = None
    packet = authentication.connect
    if step.outcome != STEP_ALLOW:
        text = step.text or "authentication failed"
        if packet is None:
            _fail(link, int(Reason.NOT_AUTHORIZED), text, now)
        else:
            refuse(link, authentication.client_id, int(Reason.NOT_AUTHORIZED), text, now)
    elif packet is None:
        link.connection.send(p.Auth(int(Reason.SUCCESS), _auth_properties(link, step)), now)
    else:
        username = step.username if step.username is not None else packet.username
        link.identity = _identity(link, authentication.client_id, username)
        accept(link, packet, authentication.client_id, step, now)


def _auth_properties(link: MqttLink, step: Step) -> Properties:
    values: dict[int, int | str | bytes] = {props.AUTHENTICATION_METHOD: link.auth_method}
    if step.data is not None:
        values[props.AUTHENTICATION_DATA] = step.data
    return Properties(values)


def _fail(link: MqttLink, reason: int, text: str, now: float) -> None:
    if link.session is None:
        refuse(link, link.client_id, reason, text, now)
    else:
        link.fail(reason, text, now)


# -- coming in ------------------------------------------------------------------------------------


def accept(
    link: MqttLink,
    packet: p.Connect,
    client_id: str,
    step: Step | None,
    now: float,
) -> None:
    """The client is who it says: session, CONNACK, and what waited for it."""
    broker = link.broker
    identity = link.identity
    assert identity is not None
    connection = link.connection
    full = _no_room(link, client_id)
    if full is not None:
        refuse(link, client_id, int(Reason.SERVER_BUSY), full, now, "server busy")
        return
    keepalive_s = packet.keepalive_s
    if _keepalive_too_long(link, keepalive_s):
        keepalive_s = broker.settings.max_keepalive_s
    link.client_id = client_id
    connection.keepalive_s = keepalive_s
    clean_start = packet.clean_start or _is_somebody_elses(link, identity)
    session, present = broker.sessions.open(
        link, client_id, clean_start, now, _session_expiry_s(packet)
    )
    _take_identity(link, session, identity)
    if link.mount:
        _stay_below(link, session, now)
    session.will = None
    if packet.will is not None:
        _take_will(link, session, identity, packet.will)
    broker.sessions.note(session)
    answer = _connack_properties(link, packet, client_id, keepalive_s, step)
    connection.send(p.Connack(0, present and packet.version != p.MQTT_31, answer), now)
    _attach(link, packet, session)
    link.watch()
    broker.hooks.connected(link, packet, session)
    session.outbox.resume(now)


def _is_somebody_elses(link: MqttLink, identity: Identity) -> bool:
    """Whether the session of that client id belongs to another user.

    Where there are rules, nobody inherits subscriptions and messages by naming a client id: not
    every authorizer is asked again about each message.
    """
    if link.broker.authorizer is None:
        return False
    session = link.broker.sessions.get(identity.client_id)
    return session is not None and session.username != identity.username


def _no_room(link: MqttLink, client_id: str) -> str | None:
    """Why one more session cannot be had; ``None`` where it can, or is there already."""
    broker = link.broker
    if broker.sessions.get(client_id) is not None:
        return None
    most = broker.settings.clients_max
    if 0 <= most <= len(broker.sessions):
        broker.metrics.refused_clients += 1
        return f"there are {most} clients, as many as global_max_clients allows"
    if broker.metrics.memory_full:
        broker.metrics.refused_memory += 1
        return "memory_limit is reached"
    return None


def _take_identity(link: MqttLink, session: Session, identity: Identity) -> None:
    """The session is this client's from here on, and what it is not to have is dropped."""
    broker = link.broker
    session.username = identity.username
    session.identity = identity
    authorizer = broker.authorizer
    if authorizer is None:
        return
    for filter in forbidden_queues(authorizer, session):
        broker.router.unsubscribe(session, filter, 0.0)  # to leave a queue takes no time
    if session.subscriptions:
        broker.router.forget_routes()  # they were judged as whoever had the session before
    if session.outbox.queue is not None or session.outbox.outgoing.waiting:
        session.outbox.keep_only(lambda message: may_get(authorizer, session, message.topic))


def _stay_below(link: MqttLink, session: Session, now: float) -> None:
    """Drop subscriptions of a session that came by another listener, with another mount point.

    The outbox sends none of their messages, and in a group it would take them from others.
    """
    for filter in list(session.subscriptions):
        if not is_mounted(link.mount, filter):
            link.broker.router.unsubscribe(session, filter, now)


def _take_will(link: MqttLink, session: Session, identity: Identity, will: p.Will) -> None:
    """Keep the will, unless it may not be published; as with Mosquitto, the client may come in."""
    never = ""
    if link.mount:
        will.topic = mounted_topic(link.mount, will.topic)
        never = fault_of_topic(link.mount, will.topic)
    never = never or never_written(will.topic)
    if never:
        link.broker.hooks.denied(session.client_id, "will", will.topic, never)
        return
    _judge_will(link, session, identity, will)


def _judge_will(link: MqttLink, session: Session, identity: Identity, will: p.Will) -> None:
    authorizer = link.broker.authorizer
    if authorizer is None:
        session.will = will
        return

    def decided(made: Decision, now: float) -> None:
        if session.link is not link:
            return  # it has gone before it was known whether its will may be published
        if link.broker.authorizer is not authorizer:
            _judge_will(link, session, identity, will)  # others decide by now
        elif made.outcome == ALLOW:
            session.will = will
            link.broker.sessions.note(session)
        else:
            link.broker.hooks.denied(session.client_id, "will", will.topic, made.text)

    decision = authorizer.authorize(identity, WILL, will.topic)
    if isinstance(decision, Pending) and decision.settled is None:
        decision.wait(decided)
    else:
        decided(decision, 0.0)


def _session_expiry_s(packet: p.Connect) -> int:
    if packet.version != p.MQTT_5:
        return 0 if packet.clean_start else EXPIRES_NEVER
    if packet.properties is None:
        return 0
    return packet.properties.get_int(props.SESSION_EXPIRY_INTERVAL)


def _connack_properties(
    link: MqttLink, packet: p.Connect, client_id: str, keepalive_s: int, step: Step | None
) -> Properties | None:
    """What the broker allows, in the order in which Mosquitto says it."""
    if packet.version != p.MQTT_5:
        return None
    settings = link.broker.settings
    listener = link.listener
    values: dict[int, int | str | bytes] = {}
    if listener.topic_alias_max:
        values[props.TOPIC_ALIAS_MAXIMUM] = listener.topic_alias_max
    if client_id != packet.client_id:
        values[props.ASSIGNED_CLIENT_IDENTIFIER] = client_id
    if keepalive_s != packet.keepalive_s:
        values[props.SERVER_KEEP_ALIVE] = keepalive_s
    if link.auth_method:
        values[props.AUTHENTICATION_METHOD] = link.auth_method
        if step is not None and step.data is not None:
            values[props.AUTHENTICATION_DATA] = step.data
    if not settings.retain_available:
        values[props.RETAIN_AVAILABLE] = 0
    if settings.packet_bytes_max:
        values[props.MAXIMUM_PACKET_SIZE] = settings.packet_bytes_max
    if settings.inflight_messages_max:
        values[props.RECEIVE_MAXIMUM] = settings.inflight_messages_max
    if link.max_qos < 2:
        values[props.MAXIMUM_QOS] = link.max_qos
    return Properties(values)


def _attach(link: MqttLink, packet: p.Connect, session: Session) -> None:
    """Tie the session's outbox to this connection, as the client asked for it."""
    settings = link.broker.settings
    window = settings.inflight_messages_max or PACKET_ID_MAX
    packet_bytes_max = 0
    alias_maximum = 0
    if packet.properties is not None:
        window = min(window, packet.properties.get_int(props.RECEIVE_MAXIMUM, PACKET_ID_MAX))
        packet_bytes_max = packet.properties.get_int(props.MAXIMUM_PACKET_SIZE)
        alias_maximum = min(
            packet.properties.get_int(props.TOPIC_ALIAS_MAXIMUM),
            link.listener.topic_alias_broker_max,
        )
    form = link.form()
    outbox = session.outbox
    if session.subscriptions and (
        outbox.form != form
        or outbox.packet_bytes_max != packet_bytes_max
        or outbox.mount != link.mount
        or alias_maximum > 0
    ):
        link.broker.router.forget_routes()  # they know how this client is spoken to
    outbox.attach(
        link, link.connection.out, form, window, packet_bytes_max, alias_maximum, link.mount
    )
    link.begin(session)
