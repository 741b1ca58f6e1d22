"""What a mosquitto.conf must not say, and the words of Mosquitto 2.1 for it.

Each entry is a text whose last line is at fault, and the error without ``Error:`` before it.
"""

from __future__ import annotations

from typing import Final

ERRORS: Final = [
    ("nonsense 1", "Unknown configuration variable 'nonsense'."),
    ("\tport 1883", "Unknown configuration variable '\tport'. Did you mean 'port'?"),
    ("\ufeffport 1", "Unknown configuration variable '\\ufeffport'. Did you mean 'port'?"),
    ("pa\udcfc 1", "Unknown configuration variable 'pa\\xfc'."),
    ("retain_available \udce4\x1b[0m", "Invalid 'retain_available' value (\\xe4\\x1b[0m)."),
    ("max_qoss 1", "Unknown configuration variable 'max_qoss'. Did you mean 'max_qos'?"),
    (" # indented", "Unknown configuration variable '#'."),
    ("max_keepalive", "Empty 'max_keepalive' value in configuration."),
    ("max_keepalive   ", "Empty 'max_keepalive' value in configuration."),
    ("retain_available", "Empty 'retain_available' value in configuration."),
    ("retain_available yes", "Invalid 'retain_available' value (yes)."),
    ("retain_available True", "Invalid 'retain_available' value (True)."),
    ("max_keepalive ten", "'max_keepalive' value not a number."),
    ("max_keepalive 10s", "'max_keepalive' value not a number."),
    ("max_keepalive 08", "'max_keepalive' value not a number."),
    ("max_keepalive 2147483648", "'max_keepalive' value out of range."),
    (f"max_keepalive {'9' * 5000}", "'max_keepalive' value out of range."),
    ("memory_limit 9223372036854775808", "'memory_limit' value out of range."),
    ("memory_limit -1", "Invalid 'memory_limit' value (-1)."),
    ("max_keepalive 65536", "Invalid 'max_keepalive' value (65536)."),
    ("max_packet_size 19", "'max_packet_size' must be >= 20."),
    ("max_inflight_messages 65536", "'max_inflight_messages' must be <= 65535."),
    ("message_size_limit 268435456", "Invalid 'message_size_limit' value (268435456)."),
    ("sys_interval -1", "Invalid 'sys_interval' value (-1)."),
    ("packet_buffer_size 65536", "Packet buffer size must be between 0 and 65535 inclusive."),
    ("log_facility 8", "Invalid 'log_facility' value (8)."),
    ("pid_file", "Empty 'pid_file' value in configuration."),
    ("pid_file a\npid_file b", "Duplicate 'pid_file' value in configuration."),
    ("pid_file \udcff", "Malformed UTF-8 in configuration."),
    ("pid_file a\x07", "Malformed UTF-8 in configuration."),
    (f"auto_id_prefix {'x' * 51}", "auto_id_prefix length must be <= 50."),
    (
        f"listener 1\nlistener_auto_id_prefix {'ä' * 26}",
        "'listener_auto_id_prefix' length must be <= 50.",
    ),
    (
        "persistent_client_expiration 10",
        "Invalid 'persistent_client_expiration' duration in configuration.",
    ),
    (
        "persistent_client_expiration 0d",
        "Invalid 'persistent_client_expiration' duration in configuration.",
    ),
    (
        "persistent_client_expiration",
        "Empty 'persistent_client_expiration' value in configuration.",
    ),
    ("listener", "Empty 'listener port' value in configuration."),
    ("listener x", "'listener port' value not a number."),
    ("listener 65536", "Invalid 'port' value (65536)."),
    ("listener 0", "A listener with port 0 must provide a Unix socket path."),
    ("listener 0 # path", "A listener with port 0 must provide a Unix socket path."),
    ("port 0", "Invalid 'port' value (0)."),
    ("port", "Empty 'port' value in configuration."),
    ("bind_address", "Empty 'default listener bind_address' value in configuration."),
    (
        "bind_address a\nbind_address b",
        "Duplicate 'default listener bind_address' value in configuration.",
    ),
    ("protocol mqttsn", "Invalid 'protocol' value (mqttsn)."),
    ("socket_domain ipx", "Invalid 'socket_domain' value 'ipx' in configuration."),
    ("listener 1\nmax_qos 3", "'max_qos' must be between 0 and 2 inclusive."),
    ("listener 1\nmaximum_qos -1", "'max_qos' must be between 0 and 2 inclusive."),
    ("listener 1\nmax_topic_alias 65536", "Invalid 'max_topic_alias' value in configuration."),
    (
        "listener 1\naccept_protocol_versions",
        "Empty 'accept_protocol_versions' value in configuration.",
    ),
    (
        "max_topic_alias 1",
        "The 'max_topic_alias' option requires a listener to be defined first.",
    ),
    (
        "port 1883\naccept_protocol_versions 3",
        "The 'accept_protocol_versions' option requires a listener to be defined first.",
    ),
    (
        "per_listener_settings true\nallow_anonymous true",
        "The 'allow_anonymous' option requires a listener to be defined first.",
    ),
    (
        "allow_anonymous true\nper_listener_settings true",
        "per_listener_settings must be set before any other security settings.",
    ),
    ("log_dest", "Empty 'log_dest' value in configuration."),
    ("log_dest printer", "Invalid 'log_dest' value (printer)."),
    ("log_dest file", 'Empty "log_dest file" value in configuration.'),
    ("log_dest file a\nlog_dest file b", 'Duplicate "log_dest file" value.'),
    ("log_type chatter", "Invalid 'log_type' value (chatter)."),
    ("include_dir", "Empty 'include_dir' value in configuration."),
    ("address a", "The 'address' option requires a bridge to be defined first."),
    (
        "plugin_opt_x 1",
        "The 'plugin_opt_x' option requires plugin/global_plugin/plugin_load to be defined first.",
    ),
]

BRIDGE: Final = "connection far\n"
#: Those of bridges and plugins.
BRIDGE_ERRORS: Final = [
    ("connection", "Empty 'connection' value in configuration."),
    (BRIDGE + "connection far", "Duplicate bridge name 'far'."),
    (BRIDGE + "address # none", "Empty address value in configuration."),
    (
        BRIDGE + "address a\naddresses b",
        "Invalid bridge configuration, 'address' only allowed once.",
    ),
    (BRIDGE + "address a:0", "Invalid bridge port value (0)."),
    (BRIDGE + "address a:port", "Invalid bridge port value (0)."),
    (BRIDGE + "address a b:65536", "Invalid bridge port value (65536)."),
    (BRIDGE + "bridge_protocol_version mqtt5", "Invalid 'bridge_protocol_version' value (mqtt5)."),
    (
        BRIDGE + "bridge_reload_type now",
        "Invalid 'bridge_reload_type' value in configuration (now).",
    ),
    (BRIDGE + "start_type manual", "Manual start_type not supported."),
    (BRIDGE + "start_type never", "Invalid 'start_type' value in configuration (never)."),
    (BRIDGE + "bridge_insecure maybe", "Invalid 'bridge_insecure' value (maybe)."),
    (BRIDGE + "bridge_max_topic_alias 65536", "bridge_max_topic_alias must be > 0 and <= 65535."),
    (BRIDGE + "bridge_receive_maximum 0", "bridge_receive_maximum must be greater than 0."),
    (BRIDGE + "bridge_receive_maximum 65536", "bridge_receive_maximum must be lower than 65535."),
    (
        BRIDGE + "bridge_session_expiry_interval -1",
        "bridge_session_expiry_interval must not be negative.",
    ),
    (BRIDGE + "bridge_tcp_keepalive 5 0 5", "invalid TCP keepalive interval value."),
    (
        BRIDGE + "bridge_tcp_keepalive 5",
        "Empty 'bridge_tcp_keepalive_interval' value in configuration.",
    ),
    (BRIDGE + "bridge_tcp_user_timeout -1", "invalid TCP user timeout value."),
    (BRIDGE + "keepalive_interval 65536", "Bridge keepalive value too high."),
    (BRIDGE + "restart_timeout 10 5", "backoff cap is lower than the base in restart_timeout."),
    (BRIDGE + "restart_timeout 1 2 -3", "stable connection period cannot be negative."),
    (
        BRIDGE + "bridge_psk 00\nbridge_cafile x",
        "'bridge_cafile': Cannot use both certificate and psk encryption in a single bridge.",
    ),
    (
        BRIDGE + "bridge_certfile x\nbridge_identity y",
        "'bridge_identity': Cannot use both certificate and identity encryption in a single "
        "bridge.",
    ),
    (
        BRIDGE + "clientid a\nremote_clientid b",
        "Duplicate 'bridge remote clientid' value in configuration.",
    ),
    (BRIDGE + "topic", "Empty 'topic' value in configuration."),
    (BRIDGE + 'topic "a b', "Missing closing quote in topic value (b)."),
    (BRIDGE + "topic a sideways", "Invalid bridge topic direction 'sideways'."),
    (BRIDGE + "topic a out 3", "Invalid bridge QoS level '3'."),
    (BRIDGE + "topic a out 0 x/#", "Invalid bridge topic local prefix 'x/#'."),
    (BRIDGE + "topic a out 0 x/ y+", "Invalid bridge topic remote prefix 'y+'."),
    (BRIDGE + "topic a#b", "Invalid bridge topic local prefix and pattern combination 'a#b'."),
    (BRIDGE + 'topic "" out 0 x', "Invalid bridge remapping."),
    ("plugin", "Empty 'plugin' value in configuration."),
    ("plugin_load", "Empty 'plugin_load' value in configuration."),
    ("plugin_load one", "Missing plugin path for plugin name 'one'."),
    ("plugin_load one /a\nplugin_load one /b", "Duplicate plugin name 'one'."),
    ("plugin /a\nplugin_opt_ab 1", "Invalid 'plugin_opt_' config option."),
    ("plugin /a\nplugin_opt_file", "Empty 'file' value in configuration."),
    ("listener 1\nplugin_use one", "Plugin 'one' not previously loaded."),
    (
        "auth_plugin_deny_special_chars true",
        "An auth_plugin_deny_special_chars option exists in the config file without a plugin.",
    ),
]
