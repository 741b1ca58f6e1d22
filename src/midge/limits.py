"""Every bound and every default number, in one place, the unit in the name.

A number that comes from MQTT names its section; one that comes from Mosquitto is the default that
a configuration written for it relies on; the others say what they protect.
"""

from __future__ import annotations

from typing import Final

# -- the wire (MQTT 5.0 section 1.5, 2.1.4) --------------------------------------------------

#: The largest value that a variable byte integer can hold: four bytes of seven bits.
VARINT_MAX: Final = 268_435_455
#: The largest string or binary value: its length is two bytes.
STRING_BYTES_MAX: Final = 65_535
#: Packet identifiers are 1 to this.
PACKET_ID_MAX: Final = 65_535
#: Receive Maximum when a peer names none (MQTT 5.0 section 3.1.2.11.3).
RECEIVE_MAXIMUM_DEFAULT: Final = 65_535

# -- what a peer may send before we know it ---------------------------------------------------

#: A CONNECT, AUTH, SUBSCRIBE or UNSUBSCRIBE larger than this is refused at its header.
#: The same built-in cap as Mosquitto's.
CONTROL_PACKET_BYTES_MAX: Final = 100_000
#: Acknowledgements, PINGREQ and DISCONNECT larger than this are refused at their header.
SIMPLE_PACKET_BYTES_MAX: Final = 10_000
#: Connections that are in a handshake before MQTT or ZMTP; one more is refused. With TLS each has
#: some 50 KiB of OpenSSL's; without, some 3 KiB, and thousands may come at once.
HANDSHAKES_TLS_MAX: Final = 1000
HANDSHAKES_PLAIN_MAX: Final = 20_000
#: The longest request that may ask for a WebSocket.
WEBSOCKET_HEADER_BYTES_MAX: Final = 8192
#: The longest line of the PROXY protocol's version 1, and how much may follow the fixed part of a
#: header of version 2. Mosquitto's numbers; the longest line of addresses has 107 bytes.
PROXY_LINE_BYTES_MAX: Final = 108
PROXY_HEADER_BYTES_MAX: Final = 500
#: How often certificates are looked at, whether they are other files.
TLS_LOOK_S: Final = 5.0
#: HTTP requests that are answered at a time, by ``http_dir`` and ``http_api``, and how long one may
#: take whose client takes nothing of it any more.
HTTP_EXCHANGES_MAX: Final = 100
HTTP_STALL_S: Final = 30.0
#: Threads that read files for them, jobs that wait for these, and bytes of a job.
HTTP_FILES_THREADS: Final = 2
HTTP_FILES_QUEUE_MAX: Final = 256
HTTP_PIECE_BYTES: Final = 65_536
#: How often the numbers of ``/api/v1/systree`` are made anew: all sessions are looked at for them.
HTTP_NUMBERS_EVERY_S: Final = 1.0
#: How long a new connection may take to send its whole CONNECT, and for a handshake before it.
CONNECT_TIMEOUT_S: Final = 10.0

# -- defaults of the broker (Mosquitto's, where it has the option) ------------------------------

#: ``max_packet_size``: the largest packet the broker accepts, header included.
PACKET_BYTES_MAX_DEFAULT: Final = 2_000_000
#: ``max_inflight_messages``: QoS 1 and 2 messages on their way to one client at a time.
INFLIGHT_MESSAGES_DEFAULT: Final = 20
#: ``max_queued_messages``: QoS 1 and 2 messages held for one client beyond those in flight.
QUEUED_MESSAGES_DEFAULT: Final = 1000
#: ``max_topic_alias``: aliases a client may set with the broker.
TOPIC_ALIAS_DEFAULT: Final = 10
#: ``max_topic_alias_broker``: aliases the broker sets with a client that allows them.
TOPIC_ALIAS_BROKER_DEFAULT: Final = 10
#: The longest text of a topic name or filter in levels; each level costs a step in the tree.
TOPIC_LEVELS_MAX: Final = 200

# -- who may ---------------------------------------------------------------------------------

#: Passwords that wait to be hashed; one more is refused as "server busy". With Mosquitto's hash
#: (1000 rounds of PBKDF2, half a millisecond) that is two seconds of work.
HASH_QUEUE_MAX: Final = 4096
#: Those of them that came from one address. Many clients may stand behind one, so it is generous;
#: addresses take turns, so that one that guesses does not keep others waiting.
HASH_QUEUE_PER_ADDRESS_MAX: Final = 1024
#: How long a password may wait in that queue before its client is told that the server is busy.
HASH_WAIT_MAX_S: Final = 8.0
#: Threads that hash. One leaves the event loop its processor on a machine with two.
HASH_THREADS: Final = 1
#: How long a password that was right needs no hashing again, and how many are remembered.
PASSWORD_CACHE_S: Final = 120.0
PASSWORD_CACHE_MAX: Final = 10_000
#: A password longer than this is not remembered: making its key would hold up the event loop.
PASSWORD_CACHED_BYTES_MAX: Final = 1024
#: Decisions about publishing that one ACL file remembers; the table is emptied when it is full.
ACL_CACHE_MAX: Final = 65_536
#: Topics that a connection may publish to without being asked again, for the fast lane.
LINK_TOPICS_MAX: Final = 1024
#: A file with names, passwords, rules or keys that is larger than this is refused.
SECURITY_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
#: How long a user's own ``async`` authenticator or authorizer may take, and how many of its
#: answers may be awaited at a time.
PLUGIN_TIMEOUT_S: Final = 10.0
PLUGIN_TASKS_MAX: Final = 4096
#: ``http_auth_timeout``, and how long the answers of an HTTP service are good for.
HTTP_AUTH_TIMEOUT_S: Final = 5
HTTP_AUTH_CACHE_S: Final = 30
#: Answers of an HTTP service that are remembered.
HTTP_AUTH_CACHE_MAX: Final = 16_384
#: Questions to an HTTP service at a time, and those that wait behind them.
HTTP_AUTH_CONNECTIONS: Final = 8
HTTP_AUTH_QUEUE_MAX: Final = 1024
#: The longest answer of an HTTP service that is read.
HTTP_BODY_BYTES_MAX: Final = 1_048_576
#: A key set is fetched again for an unknown key at most this often, and after this long anyway.
JWKS_REFRESH_LEAST_S: Final = 30.0
JWKS_REFRESH_S: Final = 3600.0
#: Clocks may differ by this much when it is asked whether a token is valid yet or still.
JWT_LEEWAY_S: Final = 10

# -- memory and fairness -----------------------------------------------------------------------

#: One read from a socket. Large reads are what makes batches, and batches are the speed.
READ_BYTES: Final = 262_144
#: The first one of a broker's stream, the least, and how long what was read may take to be handled
#: before less is read the next time.
READ_BYTES_FIRST: Final = 16_384
READ_BYTES_LEAST: Final = 512
READ_S: Final = 0.008
#: A stream that has more, and took this long, waits until the others have had their turn.
READ_TURN_S: Final = 0.0005
#: Reads that are tried for what a peer has sent before it was gone: more than a system buffers.
REST_READS_MAX: Final = 64
#: ``$CONTROL/queue/v1``: bytes and commands of a request, requests that wait, queues or consumers
#: that are listed in one answer, messages that are shown and bytes of each, messages a slice.
CONTROL_REQUEST_BYTES_MAX: Final = 65_536
CONTROL_COMMANDS_MAX: Final = 100
CONTROL_REQUESTS_MAX: Final = 16
CONTROL_LIST_MAX: Final = 1000
CONTROL_PEEK_MAX: Final = 100
CONTROL_PEEK_BYTES_MAX: Final = 4096
CONTROL_PEEK_PAIRS_MAX: Final = 16
CONTROL_SLICE: Final = 100
#: Bytes of an answer above which no further command of the request is done.
CONTROL_RESPONSE_BYTES_MAX: Final = 262_144
#: How long a request rests between two slices.
CONTROL_PAUSE_S: Final = 0.001
#: Property sections that the fast lane remembers; then it forgets all and begins again.
KNOWN_EXTRAS_MAX: Final = 1024
#: Unsent bytes of one receiver above which its publishers are read more slowly.
OUTBOX_HOLD_BYTES: Final = 1_048_576
#: Pieces, one or two a message, that one receiver is given of what waits for it before they are
#: written; then others have their turn.
OUTBOX_PUMP_PIECES: Final = 500
#: Unsent bytes of one receiver above which QoS 0 messages to it are dropped, and counted.
OUTBOX_BYTES_MAX: Final = 2_097_152
#: How long one slow receiver may hold its publishers back before it is on its own.
HOLD_MAX_S: Final = 1.0
#: Subscriptions of one session; one more is refused.
SUBSCRIPTIONS_MAX: Final = 100_000
#: Retained messages that wait to be sent to one client; above it, no subscription is added.
RETAINED_OWED_MAX: Final = 1_000_000
#: Deadlines that nobody waits for any more and that are swept out when they are the most.
DEADLINES_STALE_MAX: Final = 1024
#: Topics whose receivers are remembered; the table is emptied when it is full.
ROUTE_CACHE_MAX: Final = 65_536
#: Unsent bytes in a transport's buffer above which it counts as full.
TRANSPORT_BYTES_HIGH: Final = 262_144
#: How long a connection that we close may take to read what is left for it.
CLOSE_TIMEOUT_S: Final = 5.0
#: Pieces of output that wait for a client that does not read, above which it is not read either.
OUTPUT_PIECES_MAX: Final = 4096
#: Connections that wait to be accepted.
LISTEN_BACKLOG: Final = 1024

# -- operations ------------------------------------------------------------------------------

#: Lines of the log that wait to be published to ``$SYS/broker/log``; one more is lost.
LOG_TOPIC_LINES_MAX: Final = 1000
#: How long a published line of the log is of interest. Mosquitto's number.
LOG_TOPIC_EXPIRY_S: Final = 20.0
#: Addresses whose connections are counted for ``connect_rate_limit``; one that is new when the
#: table is full is let in.
CONNECT_RATE_ADDRESSES_MAX: Final = 65_536
#: How often the log says that an address, or everybody, is refused because of a limit.
REFUSALS_TOLD_EVERY_S: Final = 10.0
#: How often the memory of the process is looked at, while there is a ``memory_limit``.
MEMORY_SAMPLE_S: Final = 1.0
#: Expired retained messages that are removed in one step, and subscriptions that are removed or
#: restored in one: no turn of the loop is long.
SLICE_ENTRIES: Final = 1000
#: How long clients may take to read why the broker stops; then they are cut off.
STOP_TIMEOUT_S: Final = 5.0

# -- ZMTP (RFC 37) ------------------------------------------------------------------------------

#: A command frame larger than this is refused at its header. It bounds metadata and the prefix of
#: a subscription alike; real ones are a few dozen bytes.
ZMTP_COMMAND_BYTES_MAX: Final = 65_536
#: Parts of one multipart message that a peer may send. The size of a part is the user's to bound
#: (MAXMSGSIZE), the count of empty parts would otherwise have no bound at all.
ZMTP_PARTS_MAX: Final = 1_000_000
#: ``HANDSHAKE_IVL``: how long greeting and handshake may take together.
ZMTP_HANDSHAKE_S: Final = 30.0
#: How long a socket that connects waits at most after failed handshakes, the wait doubling with
#: each, where ``RECONNECT_IVL_MAX`` does not say. A peer that refuses us, or speaks otherwise, will
#: do so again, until somebody mends it: half a minute is soon enough.
ZMQ_REFUSED_PAUSE_MAX_S: Final = 30.0
#: The same where the peer only hung up or kept silent: a proxy before a server that starts does so.
ZMQ_HUNG_UP_PAUSE_MAX_S: Final = 1.0
#: The first of these waits, where ``RECONNECT_IVL`` is shorter.
ZMQ_FAILED_PAUSE_LEAST_S: Final = 0.01
#: The largest frame that the eight bytes of a long header may announce (RFC 37, framing).
ZMTP_FRAME_BYTES_MAX: Final = 2**63 - 1
#: A body from this size on is sent as it stands, not copied into one piece with its header.
ZMTP_BY_REFERENCE_BYTES: Final = 8192
#: Identities, user names, passwords and groups have one byte of length.
ZMTP_SHORT_STRING_BYTES_MAX: Final = 255

# -- the store ----------------------------------------------------------------------------------

#: Pages of the database file; what most disks write at once.
STORE_PAGE_BYTES: Final = 4096
#: Memory that SQLite may use for pages.
STORE_CACHE_BYTES: Final = 8_388_608
#: What is left of the write-ahead log when it has been copied into the database.
STORE_WAL_BYTES: Final = 67_108_864
#: Rows that are written in one step, so that no turn of the loop is long; deliveries of an ended
#: session that are removed with each commit.
STORE_SLICE_ROWS: Final = 250
#: Bytes of payload of which one step writes no more than one message: a millisecond or two.
STORE_SLICE_BYTES: Final = 1_048_576
#: How long what nobody waits for (that a message was acknowledged, for the most part) is collected,
#: so that it is written along with what somebody does wait for.
STORE_LAZY_S: Final = 0.05
#: Rows that may be collected while a batch is being written; above it publishers wait.
STORE_PENDING_ROWS: Final = 20_000
#: How long the broker waits before it tries a failed write again.
STORE_RETRY_S: Final = 1.0
#: The same where another process has the file at the moment, as `midge store compact` does, and
#: for how long that is nothing to speak of.
STORE_BUSY_RETRY_S: Final = 0.01
STORE_BUSY_PATIENCE_S: Final = 1.0
#: How far the clock of the system may be from what was counted before times are noted anew.
STORE_CLOCK_STEP_S: Final = 2.0
#: Queued messages of a session that are in memory, and their bytes; the rest of its queue is on
#: the disk. A page is read in one go.
STORE_QUEUE_PAGE: Final = 250
STORE_QUEUE_PAGE_BYTES: Final = 1_048_576

# -- ZeroMQ sockets: the engine --------------------------------------------------------------------

#: Messages that a wire takes from its pipe and encodes in one go.
ZMQ_BATCH_ITEMS: Final = 1024
#: Sends after which what is queued is written although more may come.
ZMQ_BATCH_SENDS: Final = 256
#: About so many bytes make a batch; with large messages it is fewer of them.
#: (Measured: what is larger than this is not in a processor's cache any more when it is sent.)
ZMQ_BATCH_BYTES: Final = 32_768
#: Sends after a pause that are written one by one, so that a lone message leaves at once.
ZMQ_EAGER_SENDS: Final = 4
#: Messages that a blocking face takes from its engine in one go.
ZMQ_AHEAD_ITEMS: Final = 512
#: The first reads of a connection; a stream gets larger ones, up to the second number, and one of
#: large messages up to READ_BYTES. (Memory of a read that is larger comes from the system each
#: time, which costs more than the calls that it spares.)
ZMQ_READ_BYTES_FIRST: Final = 8192
ZMQ_READ_BYTES_SMALL: Final = 65_536
#: Subscriptions, or groups, that one peer may have, and the bytes of its prefixes together: more
#: than any program that we know of wants, and what a publisher can spare for a stranger.
ZMQ_PREFIXES_MAX: Final = 1_000_000
ZMQ_PREFIX_BYTES_MAX: Final = 67_108_864
#: Pieces of one write; the system takes 1024 (IOV_MAX).
ZMQ_WRITE_PIECES: Final = 512
#: What is read and thrown away when a connection is closed, so that the peer is not reset.
ZMQ_DISCARD_BYTES: Final = 1_048_576
#: Peers that one turn accepts from one endpoint.
ZMQ_ACCEPTS_PER_TURN: Final = 64
#: Accepted peers of one socket that may be in their handshake; the oldest makes room for the next.
ZMQ_HANDSHAKES_MAX: Final = 1024
#: How long a peer has for its handshake whatever others want; meanwhile they wait in the backlog.
#: Enough for a peer on the other side of the earth, and little to wait for behind silent ones.
ZMQ_HANDSHAKE_SURE_S: Final = 1.0
#: How long a listener rests when the process is out of descriptors.
ZMQ_ACCEPT_PAUSE_S: Final = 0.5
#: Queues of a broker, those that were made for dead letters included.
QUEUES_MAX: Final = 10_000
#: The name of a queue is a level of a topic, and stands in log lines.
QUEUE_NAME_BYTES_MAX: Final = 200
#: What a queue holds unless it is told otherwise: at 1 KiB a message, 100 MB.
QUEUE_MESSAGES_DEFAULT: Final = 100_000
#: How often a message is given out: many more than a restart of all workers needs, few enough that
#: one that kills its worker does not go round for ever.
QUEUE_DELIVERIES_DEFAULT: Final = 10
#: After how long a silence the system asks whether the host of a ZeroMQ peer is still there, how
#: often again, and how many times in vain before it says that it is not: a minute in all.
TCP_KEEPALIVE_IDLE_S: Final = 30
TCP_KEEPALIVE_EVERY_S: Final = 10
TCP_KEEPALIVE_COUNT: Final = 3
#: Sent ahead to a ZeroMQ PULL before its transport has taken it: a large write, little that a slow
#: peer keeps from others.
ZMQ_PULL_AHEAD_BYTES: Final = 65_536
#: Messages that a ZeroMQ ROUTER has not replied to, where its queue has no prefetch: as many as an
#: MQTT client can have.
ZMQ_WORK_MAX: Final = 65_535
#: How long a ZeroMQ peer that may not use its queue is kept before its connection is closed.
#: ZeroMQ's sockets come again a tenth of a second after that, and know nothing of a reason.
ZMQ_REFUSED_S: Final = 5.0
#: Requests of one ZeroMQ peer that wait for their replies; the oldest is forgotten for the next.
ZMQ_REQUESTS_MAX: Final = 65_536
#: The longest delay of a message: a year.
QUEUE_DELAY_MAX_S: Final = 31_622_400.0
#: How long a worker has for a message.
QUEUE_LEASE_DEFAULT_S: Final = 60.0
#: Unacknowledged messages of a consumer: enough to fill a write, and little to wait for behind a
#: slow one.
QUEUE_PREFETCH_DEFAULT: Final = 16
#: Connects to one inproc name that nobody has bound; more are not joined when somebody does.
ZMQ_INPROC_WAITING_MAX: Final = 100_000
#: Peers of one socket that wait for the ZAP handler's decision; more are told to come back.
ZMQ_ZAP_WAITING_MAX: Final = 4096
#: How long the ZAP handler may take for one.
ZMQ_ZAP_TIMEOUT_S: Final = 10.0
#: How long a SOCKS proxy may take to connect us.
ZMQ_SOCKS_TIMEOUT_S: Final = 30.0
#: The largest datagram of a RADIO; libzmq's DISH would cut a larger one short, and deliver that.
ZMQ_DATAGRAM_BYTES_MAX: Final = 8192
#: Datagrams that are read in one turn.
ZMQ_DATAGRAMS_PER_TURN: Final = 64
#: Before a name that was not found is asked for again.
ZMQ_UDP_RETRY_S: Final = 1.0
#: Bytes of a WebSocket's request or answer: there are no cookies in those of ZeroMQ.
ZWS_HANDSHAKE_BYTES_MAX: Final = 16_384
#: Threads that look host names up, in the whole process.
ZMQ_RESOLVER_THREADS: Final = 4
#: How long a wait goes without sleep where the last one was no longer than the second number:
#: more than a wake-up costs on a virtual machine, less than anybody would notice.
ZMQ_SPIN_S: Final = 0.000_1
ZMQ_LIVELY_S: Final = 0.000_2
#: A processor that was lent to others for longer than this is wanted by more than the peer; then
#: so many waits sleep at once, which makes the milliseconds that it cost a few microseconds each.
ZMQ_YIELD_S: Final = 0.000_05
ZMQ_SPIN_REST_WAITS: Final = 500
#: How often the I/O thread of a context looks after sockets that are in use.
ZMQ_TICK_S: Final = 0.001
#: The same while all of them wait for something, so that nothing can be left to be written.
ZMQ_TICK_QUIET_S: Final = 0.02
#: Such looks without any use of a socket after which the thread sleeps until it is needed.
ZMQ_IDLE_TICKS: Final = 10
#: Timers of a reactor, and of the I/O thread, beside which those that were called off may wait for
#: their time to be forgotten; with more of them they are looked for whenever their number doubles.
ZMQ_TIMERS_KEPT: Final = 64
