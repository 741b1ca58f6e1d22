"""The table of all options, as text, for ``options`` to read.

Two lines an option. The first has its name, kind, default, place, support, whether a reload applies
it (``r``), and the setting that it sets; ``-`` stands for none. The second says what it does. What
the columns mean stands with :class:`~midge.config.options.Option`.
"""

from __future__ import annotations

from typing import Final

GENERAL: Final = """
acl_file                     text     -            security works r acl_file
    File with the rules for who may use which topics.
allow_anonymous              bool     -            security works r allow_anonymous
    Let in clients that give no credentials.
allow_duplicate_messages     bool     true         general  works r allow_duplicate_messages
    Send a client whose subscriptions overlap one copy for each of them.
allow_zero_length_clientid   bool     true         security works r allow_zero_length_client_id
    Let clients leave it to the broker to make their client id.
auth_plugin                  text     -            security later - -
    Old name of plugin.
auto_id_prefix               text     auto-        security works r auto_id_prefix
    How client ids that the broker makes begin.
autosave_interval            int      1800         general  inert r -
    Seconds between saves of the persistent state.
autosave_on_changes          bool     false        general  inert r -
    Count changes instead of seconds for autosave_interval.
check_retain_source          bool     true         general  works r check_retain_source
    Deliver a retained message only while its publisher may still publish to its topic.
clientid_prefixes            text     -            general  works r client_id_prefix
    How client ids must begin.
connection_messages          bool     true         general  works r connection_messages
    Log when clients come and go.
enable_control_api           bool     false        general  works r control_api
    Tell of listeners and plugins who asks at the topic $CONTROL/broker/v1.
global_max_clients           int      -1           general  works r clients_max
    How many sessions may exist; -1 for no limit.
global_max_connections       int      -1           general  works r connections_max
    How many connections all listeners take together; -1 for no limit.
global_plugin                text     -            general  later - -
    Load a plugin for all listeners.
include_dir                  text     -            general  works - -
    Read all files of a directory whose names end in .conf, as if they stood here.
log_dest                     own      stderr       general  works r log_destinations
    Where the log goes: stdout, stderr, syslog, topic, none, or file and its path.
log_facility                 int      -            general  works r log_facility
    Facility of the log in syslog: 0 to 7 for local0 to local7; without it, daemon.
log_timestamp                bool     true         general  works r log_timestamp
    Begin each line of the log with the time.
log_timestamp_format         text     -            general  works r log_timestamp_format
    Form of that time, as strftime has it; without it, seconds since 1970.
log_type                     own      -            general  works r log_types
    A kind of lines to log; without it: error, warning, notice and information.
max_inflight_bytes           int      0            general  works r inflight_bytes_max
    Bytes of QoS 1 and 2 on their way to one client at a time; 0 for no limit.
max_inflight_messages        int      20           general  works r inflight_messages_max
    Messages of QoS 1 and 2 on their way to one client at a time; 0 for no limit.
max_keepalive                int      0            general  works r max_keepalive_s
    The longest keep alive that is granted, in seconds; 0 for no limit.
max_packet_size              int      2000000      general  works r packet_bytes_max
    The largest packet that is accepted, in bytes.
max_queued_bytes             int      0            general  works r queued_bytes_max
    Bytes held for one client beyond those in flight; 0 for no limit.
max_queued_messages          int      1000         general  works r queued_messages_max
    Messages held for one client beyond those in flight; 0 for no limit.
memory_limit                 int      0            general  works r memory_bytes_max
    Bytes of memory that the broker may use; 0 for no limit.
message_size_limit           int      0            general  works r payload_bytes_max
    The largest payload that is accepted, in bytes; 0 for no limit of its own.
packet_buffer_size           int      4096         general  works r packet_buffer_bytes
    Bytes that the request for a WebSocket may have; 8192 at the least.
password_file                text     -            security works r password_file
    File with user names and hashed passwords.
per_listener_settings        bool     false        general  works r per_listener_settings
    Security options that follow a listener are that listener's own.
persistence                  bool     false        general  works - persistence
    Keep sessions, queued and retained messages over a restart.
persistence_file             text     mosquitto.db general  inert - -
    Name of Mosquitto's file with the persistent state; midge's is midge.db.
persistence_location         text     -            general  works - persistence_location
    Directory of the file with the persistent state.
persistent_client_expiration duration -            general  works r persistent_client_expiration_s
    How long the session of a client that is away is kept at most: 12h, 14d, 8w, 6m, 1y.
pid_file                     text     -            general  works - pid_file
    File that the process id is written to.
plugin                       text     -            security later - -
    Load a plugin.
plugin_load                  own      -            general  later - -
    Load a plugin and give it a name for plugin_use.
psk_file                     text     -            security works r psk_file
    File with the pre-shared keys of TLS-PSK.
queue_qos0_messages          bool     false        general  works r queue_qos0
    Also hold QoS 0 messages for clients that are away.
retain_available             bool     true         general  works r retain_available
    Messages may be retained.
retain_expiry_interval       int      -            general  works r retain_expiry_check_min
    Minutes between looks for retained messages that have expired; without it, when met.
retained_persistence         bool     false        general  works - persistence
    Old name of persistence.
retry_interval               int      -            general  inert - -
    Was removed: messages are sent again only after a reconnect.
set_tcp_nodelay              bool     false        general  works r set_tcp_nodelay
    Send small writes at once; midge always does, because it writes once a turn of its loop.
sys_interval                 int      10           general  works r sys_interval_s
    Seconds between updates of $SYS; 0 for none.
upgrade_outgoing_qos         bool     false        general  works r upgrade_outgoing_qos
    Deliver at the QoS of the subscription even what was published at a lower one.
user                         text     mosquitto    general  works - user
    Who the broker becomes when root starts it.
websockets_headers_size      int      4096         general  works r packet_buffer_bytes
    Old name of packet_buffer_size.
websockets_log_level         int      0            general  inert - -
    What a WebSockets library should log.
"""

#: What midge has and Mosquitto has not.
OURS: Final = """
acl_refuse_subscribe         bool     false        security works r acl_refuse_subscribe
    Refuse a subscription that the rules of acl_file can never give a message.
authenticators               text     -            security works r authenticators
    Python packages to ask who a client is: entry points of the group midge.authenticators.
authorizers                  text     -            security works r authorizers
    Python packages to ask what a client may do: entry points of the group midge.authorizers.
connect_rate_limit           int      0            general  works r connect_rate_limit
    Connections that are taken of one address in a second; 0 for no limit.
http_auth_acl_url            text     -            security works r http_auth_acl_url
    HTTP service to ask whether a client may use a topic.
http_auth_cache              int      30           security works r http_auth_cache_s
    Seconds for which an answer of an HTTP service is good; 0 to ask every time.
http_auth_params             text     json         security works r http_auth_params
    How an HTTP service is asked: form or json.
http_auth_response           text     status       security works r http_auth_response
    Where an HTTP service answers: status, json or text.
http_auth_superuser_url      text     -            security works r http_auth_superuser_url
    HTTP service to ask whether a user may do everything.
http_auth_timeout            int      5            security works r http_auth_timeout_s
    Seconds within which an HTTP service must answer.
http_auth_user_url           text     -            security works r http_auth_user_url
    HTTP service to ask whether a password is right.
jwt_algorithms               text     -            security works r jwt_algorithms
    Signatures that are accepted of a token, RS256 and ES256 for example; without it, by the key.
jwt_audience                 text     -            security works r jwt_audience
    What the claim aud of a token must be, or hold.
jwt_disconnect_on_expiry     bool     false        security works r jwt_disconnect_on_expiry
    Disconnect a client when its token expires.
jwt_issuer                   text     -            security works r jwt_issuer
    What the claim iss of a token must be.
jwt_key_file                 text     -            security works r jwt_key_file
    File with the key, or the key set (JWKS), that tokens are verified with.
jwt_key_url                  text     -            security works r jwt_key_url
    Where the key set (JWKS) is fetched that tokens are verified with.
persistence_sync             text     full         general  works - persistence_sync
    What a commit of the store waits for: full (the disk), normal (now and then), off (nothing).
jwt_username_claim           text     sub          security works r jwt_username_claim
    The claim of a token that names the user.
log_format                   own      text         general  works r log_format
    Form of the log: text, or json for one object a line.
queue                        own      -            general  works r queues
    A queue: its name, from which topic filters it is filled, and its settings.
rate_limit_bytes             int      0            general  works r rate_limit_bytes
    Bytes that are read of one client in a second; 0 for no limit.
rate_limit_messages          int      0            general  works r rate_limit_messages
    Messages that are read of one client in a second; 0 for no limit.
zmtp_curve_keys              text     -            listener works r zmtp_curve_keys
    File with the ZeroMQ users' names and public keys, for zmtp_mechanism curve.
zmtp_curve_secret            text     -            listener works r zmtp_curve_secret
    Certificate file with the listener's secret key, as midge zmq keygen writes it.
zmtp_mechanism               own      null         listener works r zmtp_mechanism
    How ZeroMQ peers say who they are: null, plain or curve.
zmtp_queue                   text     -            listener works r zmtp_queue
    The queue of ZeroMQ peers that do not name one.
zmtp_user_queue              text     -            listener works r zmtp_user_queues
    A user and the queue of that user's ZeroMQ peers.
"""

PLUGIN: Final = """
auth_opt_*                     text -    plugin later - -
    Old name of plugin_opt_*. Those of mosquitto-go-auth are read as options of midge.
auth_plugin_deny_special_chars bool true plugin later - deny_special_chars
    Refuse user names and client ids with +, # or / before the plugin sees them.
plugin_opt_*                   text -    plugin later - -
    An option of the plugin before it.
"""

LISTENER: Final = """
accept_protocol_versions      own  3,4,5 listener works r protocol_versions
    Versions of MQTT that are accepted.
bind_address                  text -     default  works - host
    Address of the default listener.
bind_interface                text -     default  works - bind_interface
    Listen only on the addresses of a network interface.
enable_proxy_protocol         int  -     listener works r proxy_protocol
    Version of the PROXY protocol that connections begin with.
http_dir                      text -     listener works r http_dir
    Directory of files that a listener of WebSockets or http_api serves to browsers.
listener                      own  -     general  works - -
    Listen on a port, and optionally one address only; port 0 for a Unix socket and its path.
listener_allow_anonymous      bool -     listener works r allow_anonymous
    Let in clients that give no credentials, here.
listener_auto_id_prefix       text -     listener works r auto_id_prefix
    How client ids that the broker makes begin, here.
max_connections               int  -1    default  works r connections_max
    How many connections are taken; -1 for no limit.
max_qos                       int  2     default  works r max_qos
    The highest QoS that is granted and accepted.
max_topic_alias               int  10    listener works r topic_alias_max
    How many topic aliases a client may set.
max_topic_alias_broker        int  10    listener works r topic_alias_broker_max
    How many topic aliases the broker sets with a client that allows them.
maximum_qos                   int  2     default  works r max_qos
    Old name of max_qos.
mount_point                   text -     listener works r mount_point
    What the topics of clients here begin with, without their knowing it.
plugin_use                    text -     listener later - -
    Use a plugin here that plugin_load has loaded.
port                          own  1883  default  works - port
    Port of the default listener.
protocol                      own  mqtt  default  works r protocol
    What is spoken here: mqtt, websockets, http_api or zmtp.
proxy_protocol_v2_require_tls bool false listener works r proxy_protocol_v2_require_tls
    Only take connections that reached the proxy over TLS.
socket_domain                 own  -     default  works - socket_domain
    Listen only on ipv4 or only on ipv6.
use_username_as_clientid      bool false default  works r use_username_as_client_id
    A client's user name is its client id.
websockets_origin             text -     listener works r websockets_origins
    An origin that WebSocket connections may come from.
"""

TLS: Final = """
cafile                          text -     listener works r cafile
    File with the certificates of the authorities that client certificates are checked with.
capath                          text -     default  works r capath
    Directory with such certificates.
certfile                        text -     default  works r certfile
    File with the certificate of the broker.
ciphers                         text -     default  works r ciphers
    Ciphers that are offered up to TLS 1.2.
ciphers_tls1.3                  text -     default  later r ciphers_tls13
    Ciphers that are offered with TLS 1.3, which Python leaves to OpenSSL.
crlfile                         text -     default  works r crlfile
    File with certificates that were revoked.
dhparamfile                     text -     general  inert - -
    Was removed: the parameters are chosen automatically.
disable_client_cert_date_checks bool false listener works r disable_client_cert_date_checks
    Accept client certificates that have expired or are not valid yet.
keyfile                         text -     default  works r keyfile
    File with the key of the broker's certificate.
psk_hint                        text -     default  works - psk_hint
    Use TLS-PSK with this hint.
require_certificate             bool false default  works r require_certificate
    Only take clients with a valid certificate.
tls_engine                      text -     default  later - tls_engine
    OpenSSL engine to use, which Python's ssl cannot.
tls_engine_kpass_sha1           text -     default  later - tls_engine_kpass_sha1
    Hash of the password of a key in the engine.
tls_keyform                     text pem   default  works - tls_keyform
    Form of the key: pem or engine.
tls_version                     text -     listener works - tls_version
    The lowest version of TLS that is accepted.
use_identity_as_username        bool false default  works r use_identity_as_username
    The common name of a client's certificate is its user name.
use_subject_as_username         bool false default  works r use_subject_as_username
    The subject of a client's certificate is its user name.
"""

BRIDGE: Final = """
address                        own  -         bridge  later r addresses
    Hosts and ports of the remote broker.
addresses                      own  -         bridge  later r addresses
    Other name of address.
bridge_alpn                    text -         bridge  later r alpn
    Protocol name for the remote broker's TLS.
bridge_attempt_unsubscribe     bool true      bridge  later r attempt_unsubscribe
    Unsubscribe remotely from topics that are configured as going out only.
bridge_bind_address            text -         bridge  later r bind_address
    Local address that the bridge connects from.
bridge_cafile                  text -         bridge  later r cafile
    File with the authorities that the remote certificate is checked with.
bridge_capath                  text -         bridge  later r capath
    Directory with such certificates.
bridge_certfile                text -         bridge  later r certfile
    Certificate that the bridge shows.
bridge_ciphers                 text -         bridge  later r ciphers
    Ciphers that are offered up to TLS 1.2.
bridge_ciphers_tls1.3          text -         bridge  later r ciphers_tls13
    Ciphers that are offered with TLS 1.3.
bridge_identity                text -         bridge  later r identity
    Identity for TLS-PSK.
bridge_insecure                bool false     bridge  later r insecure
    Do not compare the remote host with its certificate.
bridge_keyfile                 text -         bridge  later r keyfile
    Key of the certificate that the bridge shows.
bridge_max_packet_size         int  0         bridge  later r packet_bytes_max
    The largest packet that is sent to the remote broker; 0 for no limit.
bridge_max_topic_alias         int  10        bridge  later r topic_alias_max
    How many topic aliases the remote broker may set.
bridge_outgoing_retain         bool true      bridge  later r outgoing_retain
    Send messages as retained that were.
bridge_protocol_version        own  mqttv311  bridge  later r protocol_version
    Version of MQTT: mqttv31, mqttv311 or mqttv50.
bridge_psk                     text -         bridge  later r psk
    Key for TLS-PSK.
bridge_receive_maximum         int  20        bridge  later r receive_maximum
    Messages of QoS 1 and 2 that the remote broker may have on their way at a time.
bridge_reload_type             own  lazy      bridge  later r reload_type
    A reload takes effect with the next connection (lazy) or at once (immediate).
bridge_require_ocsp            bool false     bridge  later r require_ocsp
    Only accept a certificate with a valid OCSP answer.
bridge_session_expiry_interval int  0         bridge  later r session_expiry_interval_s
    Seconds that the remote session outlives its connection.
bridge_tcp_keepalive           own  -         bridge  later r tcp_keepalive
    Idle time, interval and count of TCP keepalive.
bridge_tcp_user_timeout        int  -         bridge  later r tcp_user_timeout_ms
    Milliseconds that sent data may stay without an acknowledgement.
bridge_tls_use_os_certs        bool false     bridge  later r tls_use_os_certs
    Check the remote certificate with the authorities of the system.
bridge_tls_version             text -         bridge  later r tls_version
    Version of TLS to the remote broker.
cleansession                   bool false     bridge  later r clean_session
    The bridge begins with a clean session.
clientid                       text -         bridge  later r remote_client_id
    Other name of remote_clientid.
connection                     own  -         general later r -
    Begins a bridge to another broker.
idle_timeout                   int  60        bridge  later r idle_timeout_s
    Seconds without messages after which a lazy bridge disconnects.
keepalive_interval             int  60        bridge  later r keepalive_s
    Keep alive of the bridge, in seconds.
local_cleansession             bool -         bridge  later r local_clean_session
    As cleansession, for the session at this broker.
local_clientid                 text -         bridge  later r local_client_id
    Client id of the bridge at this broker.
local_password                 text -         bridge  later r local_password
    Password of the bridge at this broker.
local_username                 text -         bridge  later r local_username
    User name of the bridge at this broker.
notification_topic             text -         bridge  later r notification_topic
    Topic on which the state of the connection is told.
notifications                  bool true      bridge  later r notifications
    Tell the state of the connection.
notifications_local_only       bool false     bridge  later r notifications_local_only
    Tell it only at this broker.
password                       text -         bridge  later r remote_password
    Other name of remote_password.
remote_clientid                text -         bridge  later r remote_client_id
    Client id of the bridge at the remote broker.
remote_password                text -         bridge  later r remote_password
    Password of the bridge at the remote broker.
remote_username                text -         bridge  later r remote_username
    User name of the bridge at the remote broker.
restart_timeout                own  5,30      bridge  later r restart_min_s
    Seconds before the bridge connects again: the first time, at most, and when stable.
round_robin                    bool false     bridge  later r round_robin
    Stay with the address that works, instead of going back to the first one.
start_type                     own  automatic bridge  later r start_type
    When the bridge connects: automatic, lazy or once.
threshold                      int  10        bridge  later r threshold
    Waiting messages after which a lazy bridge connects.
topic                          own  -         bridge  later r topics
    Topics that are exchanged: filter, direction, QoS, local and remote prefix.
try_private                    bool true      bridge  later r try_private
    Tell the remote broker that this is a bridge.
username                       text -         bridge  later r remote_username
    Other name of remote_username.
"""
