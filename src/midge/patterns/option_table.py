"""The table of socket options, as text, for ``options`` to read.

Two lines an option. The first has its name, number, kind, access (``r``, ``w`` or ``rw``), default,
the attribute of :class:`~midge.patterns.options.Options` that it sets, and its range; ``-`` stands
for none. A boolean without a range is 0 or 1; one with a range is true for all but 0, as libzmq
takes it. An option without an attribute is either known to a socket alone or means nothing here;
the second line says so. Names and numbers are libzmq's.
"""

from __future__ import annotations

from typing import Final

TABLE: Final = """
AFFINITY 4 int64 rw 0 affinity -9223372036854775808..
    Accepted, means nothing here: there is one I/O thread at most.
ROUTING_ID 5 bytes rw - routing_id -
    How this socket calls itself to a ROUTER; 1 to 255 bytes that do not begin with a zero byte.
SUBSCRIBE 6 bytes w - - -
    Ask for messages that begin with this (SUB); grant it to the last subscriber (XPUB_MANUAL).
UNSUBSCRIBE 7 bytes w - - -
    Take that back.
RATE 8 int rw 100 rate 1..
    Accepted, means nothing here: of PGM.
RECOVERY_IVL 9 int rw 10000 recovery_interval_ms 0..
    Accepted, means nothing here: of PGM.
SNDBUF 11 int rw -1 send_buffer_bytes -1..
    The kernel's send buffer; -1: the system's choice.
RCVBUF 12 int rw -1 receive_buffer_bytes -1..
    The kernel's receive buffer; -1: the system's choice.
RCVMORE 13 int r - - -
    Whether more parts of the last message follow.
FD 14 fd r - - -
    A descriptor that is readable when EVENTS may have changed.
EVENTS 15 int r - - -
    What can be done now: 1 receive, 2 send.
TYPE 16 int r - - -
    The socket type's number.
LINGER 17 int rw -1 linger_ms -1..
    How long a closed socket goes on sending; -1: until all is sent.
RECONNECT_IVL 18 int rw 100 reconnect_interval_ms -1..
    The first wait before a new attempt to connect; -1: no further attempt.
BACKLOG 19 int rw 100 backlog 0..
    Connections that may wait to be accepted.
RECONNECT_IVL_MAX 21 int rw 0 reconnect_interval_max_ms 0..
    The wait doubles up to this; 0: it stays as it is.
MAXMSGSIZE 22 int64 rw -1 message_bytes_max -9223372036854775808..
    The largest part that is accepted from a peer; below 0: any.
SNDHWM 23 int rw 1000 send_mark 0..
    Messages that may wait for one peer; 0: any number.
RCVHWM 24 int rw 1000 receive_mark 0..
    Messages of one peer that may wait for the program; 0: any number.
MULTICAST_HOPS 25 int rw 1 multicast_hops 1..255
    How far a RADIO's datagrams travel.
RCVTIMEO 27 int rw -1 receive_timeout_ms -1..
    How long a receive waits; -1: for ever.
SNDTIMEO 28 int rw -1 send_timeout_ms -1..
    How long a send waits; -1: for ever.
IPV4ONLY 31 bool rw 1 - -
    The opposite of IPV6.
LAST_ENDPOINT 32 str r - - -
    What the last bind or connect was to, with its real port.
ROUTER_MANDATORY 33 bool rw 0 router_mandatory 0..
    A message for an unknown peer is an error, and one for a full peer waits; both are dropped else.
TCP_KEEPALIVE 34 int rw -1 tcp_keepalive -1..1
    The system's keep-alive; -1: its default.
TCP_KEEPALIVE_CNT 35 int rw -1 tcp_keepalive_count -1..
    Probes before it gives up.
TCP_KEEPALIVE_IDLE 36 int rw -1 tcp_keepalive_idle_s -1..
    Silence before the first probe.
TCP_KEEPALIVE_INTVL 37 int rw -1 tcp_keepalive_interval_s -1..
    Time between probes.
TCP_ACCEPT_FILTER 38 bytes w - tcp_accept_filter -
    Only peers of this address or network are accepted; several may be given; nothing: everybody.
IMMEDIATE 39 bool rw 0 immediate -
    Messages are queued only for peers that are connected.
XPUB_VERBOSE 40 bool w 0 xpub_verbose 0..
    Also subscriptions that somebody else has already are given to the program.
ROUTER_RAW 41 bool w 0 router_raw 0..
    Talk to plain TCP peers.
IPV6 42 bool rw 0 ipv6 -
    Also IPv6.
MECHANISM 43 int r - - -
    NULL 0, PLAIN 1, CURVE 2; follows from what else is set.
PLAIN_SERVER 44 bool rw 0 plain_server -
    Passwords are asked for here.
PLAIN_USERNAME 45 str rw - plain_username -
    Who we are.
PLAIN_PASSWORD 46 str rw - plain_password -
    And how we show it.
CURVE_SERVER 47 bool rw 0 curve_server -
    Keys are checked here.
CURVE_PUBLICKEY 48 key rw - curve_public_key -
    Our own key: 32 bytes, or 40 characters of Z85.
CURVE_SECRETKEY 49 key rw - curve_secret_key -
    Our secret key.
CURVE_SERVERKEY 50 key rw - curve_server_key -
    The server's public key.
PROBE_ROUTER 51 bool w 0 probe_router 0..
    Send an empty message to each new peer.
REQ_CORRELATE 52 bool w 0 req_correlate 0..
    Number requests, so that a late reply is not taken for another's.
REQ_RELAXED 53 bool w 0 req_relaxed 0..
    A request may be given up by sending the next one.
CONFLATE 54 bool rw 0 conflate -
    Keep only the last message.
ZAP_DOMAIN 55 str rw - zap_domain -
    The domain that peers are authenticated for.
ROUTER_HANDOVER 56 bool w 0 router_handover 0..
    A peer whose id is taken takes it over; else it is refused.
TOS 57 int rw 0 tos 0..255
    The type of service of our packets.
IPC_FILTER_PID 58 int w - ipc_filter_pid -
    Only this process is accepted over ipc; may be given more than once.
IPC_FILTER_UID 59 int w - ipc_filter_uid -
    Only this user is.
IPC_FILTER_GID 60 int w - ipc_filter_gid -
    Only this group is.
CONNECT_ROUTING_ID 61 bytes w - connect_routing_id -
    What the peer of the next connect is called (ROUTER, STREAM).
GSSAPI_SERVER 62 bool rw 0 - -
    Not supported here.
GSSAPI_PRINCIPAL 63 str rw - - -
    Not supported here.
GSSAPI_SERVICE_PRINCIPAL 64 str rw - - -
    Not supported here.
GSSAPI_PLAINTEXT 65 bool rw 0 - -
    Not supported here.
HANDSHAKE_IVL 66 int rw 30000 handshake_ms 0..
    How long a handshake may take; 0: for ever.
SOCKS_PROXY 68 str rw - socks_proxy -
    A SOCKS5 proxy to connect through, host:port.
XPUB_NODROP 69 bool w 0 xpub_nodrop 0..
    A message that a subscriber has no room for waits, and is not dropped for him.
XPUB_MANUAL 71 bool w 0 xpub_manual 0..
    Subscriptions take effect when the program says so.
XPUB_WELCOME_MSG 72 bytes w - xpub_welcome_message -
    The first message to each new subscriber.
STREAM_NOTIFY 73 bool w 1 stream_notify -
    An empty message says that a peer came or went.
INVERT_MATCHING 74 bool rw 0 invert_matching -2147483648..
    Messages that do not match are delivered, those that do are not.
HEARTBEAT_IVL 75 int rw 0 heartbeat_interval_ms 0..
    Time between PINGs; 0: none.
HEARTBEAT_TTL 76 int rw 0 heartbeat_ttl_ms 0..6553599
    Silence after which the peer shall give up on us.
HEARTBEAT_TIMEOUT 77 int rw -1 heartbeat_timeout_ms -1..
    Silence after a PING that ends the connection; -1: as HEARTBEAT_IVL.
XPUB_VERBOSER 78 bool w 0 xpub_verboser 0..
    The same as XPUB_VERBOSE, and for the end of subscriptions.
CONNECT_TIMEOUT 79 int rw 0 connect_timeout_ms 0..
    How long an attempt to connect may take; 0: as long as the system lets it.
TCP_MAXRT 80 int rw 0 tcp_maxrt_ms 0..
    How long sent data may stay unacknowledged; 0: the system's choice.
THREAD_SAFE 81 int r - - -
    Whether several threads may use the socket at once.
MULTICAST_MAXTPDU 84 int rw 1500 multicast_bytes_max 1..
    Accepted, means nothing here: of PGM.
VMCI_BUFFER_SIZE 85 int64 rw 65546 - -
    Not supported here.
VMCI_BUFFER_MIN_SIZE 86 int64 rw 128 - -
    Not supported here.
VMCI_BUFFER_MAX_SIZE 87 int64 rw 262144 - -
    Not supported here.
VMCI_CONNECT_TIMEOUT 88 int rw -1 - -
    Not supported here.
USE_FD 89 int rw -1 use_fd -1..
    A listening descriptor to bind with, made by somebody else; -1: none.
GSSAPI_PRINCIPAL_NAMETYPE 90 int rw 0 - -
    Not supported here.
GSSAPI_SERVICE_PRINCIPAL_NAMETYPE 91 int rw 0 - -
    Not supported here.
BINDTODEVICE 92 str rw - bind_to_device -
    The network interface to use.
ZAP_ENFORCE_DOMAIN 93 bool rw 0 zap_enforce_domain -2147483648..
    Peers are authenticated only where there is a domain, and refused where nobody answers.
LOOPBACK_FASTPATH 94 bool rw 0 loopback_fastpath -2147483648..
    Accepted, means nothing here: of Windows.
METADATA 95 str w - metadata -
    A property that peers are told, NAME:VALUE; may be given more than once.
MULTICAST_LOOP 96 bool rw 1 multicast_loop -2147483648..
    A RADIO's datagrams come back to this machine.
ROUTER_NOTIFY 97 int rw 0 router_notify 0..3
    An empty message says that a peer came (1) or went (2).
XPUB_MANUAL_LAST_VALUE 98 bool w 0 xpub_manual_last_value 0..
    As XPUB_MANUAL, and what is sent next goes to the last subscriber alone.
SOCKS_USERNAME 99 str rw - socks_username -
    For the proxy.
SOCKS_PASSWORD 100 str rw - socks_password -
    For the proxy.
IN_BATCH_SIZE 101 int rw 8192 in_batch_size 1..
    Accepted, means nothing here: a read takes what there is.
OUT_BATCH_SIZE 102 int rw 8192 out_batch_size 1..
    Accepted, means nothing here: a write takes what there is.
WSS_KEY_PEM 103 str w - wss_key_pem -
    The key of a wss:// server.
WSS_CERT_PEM 104 str w - wss_cert_pem -
    Its certificate.
WSS_TRUST_PEM 105 str w - wss_trust_pem -
    The certificates that a wss:// client trusts.
WSS_HOSTNAME 106 str w - wss_hostname -
    The name that the server's certificate must have.
WSS_TRUST_SYSTEM 107 bool w 0 wss_trust_system -
    Trust what the system trusts.
ONLY_FIRST_SUBSCRIBE 108 bool w 0 only_first_subscribe 0..
    A message that does not begin with a subscription has none in its later parts (XPUB, XSUB).
RECONNECT_STOP 109 int rw 0 reconnect_stop 0..7
    When not to connect again: 1 refused, 2 handshake failed, 4 after a disconnect.
HELLO_MSG 110 bytes w - hello_message -
    The first message to each new peer.
DISCONNECT_MSG 111 bytes w - disconnect_message -
    What the program receives when a peer has gone.
PRIORITY 112 int rw 0 priority 0..
    The priority of our packets in the system.
BUSY_POLL 113 int w 0 - -
    Accepted, means nothing here.
HICCUP_MSG 114 bytes w - hiccup_message -
    What the program receives when a connection broke and will be tried again.
XSUB_VERBOSE_UNSUBSCRIBE 115 bool w 0 xsub_verbose_unsubscribe 0..
    Every end of a subscription is passed on, also one that is not the last.
TOPICS_COUNT 116 int r - - -
    How many different prefixes are subscribed to here.
NORM_MODE 117 int rw 1 - -
    Not supported here.
NORM_UNICAST_NACK 118 bool rw 0 - -
    Not supported here.
NORM_BUFFER_SIZE 119 int rw 2048 - -
    Not supported here.
NORM_SEGMENT_SIZE 120 int rw 1400 - -
    Not supported here.
NORM_BLOCK_SIZE 121 int rw 16 - -
    Not supported here.
NORM_NUM_PARITY 122 int rw 4 - -
    Not supported here.
NORM_NUM_AUTOPARITY 123 int rw 0 - -
    Not supported here.
NORM_PUSH 124 bool rw 0 - -
    Not supported here.
"""

_ROUTERS: Final = frozenset({"ROUTER", "REP"})
_PUBLISHERS: Final = frozenset({"PUB", "XPUB"})
#: The options that only some types of socket have, as libzmq has it; all others refuse them.
ONLY_FOR: Final[dict[str, frozenset[str]]] = {
    "ROUTER_MANDATORY": _ROUTERS,
    "ROUTER_RAW": _ROUTERS,
    "ROUTER_HANDOVER": _ROUTERS,
    "ROUTER_NOTIFY": _ROUTERS,
    "CONNECT_ROUTING_ID": _ROUTERS | {"STREAM"},
    "PROBE_ROUTER": _ROUTERS | {"REQ", "DEALER"},
    "REQ_CORRELATE": frozenset({"REQ"}),
    "REQ_RELAXED": frozenset({"REQ"}),
    "STREAM_NOTIFY": frozenset({"STREAM"}),
    "XPUB_VERBOSE": _PUBLISHERS,
    "XPUB_VERBOSER": _PUBLISHERS,
    "XPUB_NODROP": _PUBLISHERS,
    "XPUB_MANUAL": _PUBLISHERS,
    "XPUB_MANUAL_LAST_VALUE": _PUBLISHERS,
    "XPUB_WELCOME_MSG": _PUBLISHERS,
    "ONLY_FIRST_SUBSCRIBE": _PUBLISHERS | {"XSUB"},
    "XSUB_VERBOSE_UNSUBSCRIBE": frozenset({"XSUB"}),
}
