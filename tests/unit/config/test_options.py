"""The registry of options: complete, consistent, and true about what it sets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from midge.config import options
from midge.config.bridge_forms import FORMS as BRIDGE_FORMS
from midge.config.bridges import BridgeSettings
from midge.config.forms import FORMS
from midge.config.options import OPTIONS, find
from midge.config.plugins import PluginSettings
from midge.config.settings import ListenerSettings, Settings

#: Every option that Mosquitto 2.1.2 reads.
NAMES = """
accept_protocol_versions acl_file address addresses allow_anonymous allow_duplicate_messages
allow_zero_length_clientid auth_opt_* auth_plugin auth_plugin_deny_special_chars auto_id_prefix
autosave_interval autosave_on_changes bind_address bind_interface bridge_alpn
bridge_attempt_unsubscribe bridge_bind_address bridge_cafile bridge_capath bridge_certfile
bridge_ciphers bridge_ciphers_tls1.3 bridge_identity bridge_insecure bridge_keyfile
bridge_max_packet_size bridge_max_topic_alias bridge_outgoing_retain bridge_protocol_version
bridge_psk bridge_receive_maximum bridge_reload_type bridge_require_ocsp
bridge_session_expiry_interval bridge_tcp_keepalive bridge_tcp_user_timeout
bridge_tls_use_os_certs bridge_tls_version cafile capath certfile check_retain_source ciphers
ciphers_tls1.3 cleansession clientid clientid_prefixes connection connection_messages crlfile
dhparamfile disable_client_cert_date_checks enable_control_api enable_proxy_protocol
global_max_clients global_max_connections global_plugin http_dir idle_timeout include_dir
keepalive_interval keyfile listener listener_allow_anonymous listener_auto_id_prefix
local_cleansession local_clientid local_password local_username log_dest log_facility
log_timestamp log_timestamp_format log_type max_connections max_inflight_bytes
max_inflight_messages max_keepalive max_packet_size max_qos max_queued_bytes
max_queued_messages max_topic_alias max_topic_alias_broker maximum_qos memory_limit
message_size_limit mount_point notification_topic notifications notifications_local_only
packet_buffer_size password password_file per_listener_settings persistence persistence_file
persistence_location persistent_client_expiration pid_file plugin plugin_load plugin_opt_*
plugin_use port protocol proxy_protocol_v2_require_tls psk_file psk_hint queue_qos0_messages
remote_clientid remote_password remote_username require_certificate restart_timeout
retain_available retain_expiry_interval retained_persistence retry_interval round_robin
set_tcp_nodelay socket_domain start_type sys_interval threshold tls_engine
tls_engine_kpass_sha1 tls_keyform tls_version topic try_private upgrade_outgoing_qos
use_identity_as_username use_subject_as_username use_username_as_clientid user username
websockets_headers_size websockets_log_level websockets_origin
"""


#: What midge has besides.
OURS = """
connect_rate_limit log_format rate_limit_bytes rate_limit_messages
acl_refuse_subscribe authenticators authorizers http_auth_acl_url http_auth_cache http_auth_params
http_auth_response http_auth_superuser_url http_auth_timeout http_auth_user_url jwt_algorithms
jwt_audience jwt_disconnect_on_expiry jwt_issuer jwt_key_file jwt_key_url jwt_username_claim
persistence_sync queue
zmtp_curve_keys zmtp_curve_secret zmtp_mechanism zmtp_queue zmtp_user_queue
"""


def test_every_option_of_mosquitto_is_known_and_no_other_but_ours() -> None:
    assert sorted(OPTIONS) == sorted(NAMES.split() + OURS.split())


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_an_option_is_described_with_the_words_of_the_registry(option: options.Option) -> None:
    assert option.kind in (
        options.BOOL,
        options.INT,
        options.TEXT,
        options.DURATION,
        options.OWN,
    )
    assert option.place in (
        options.GENERAL,
        options.SECURITY,
        options.LISTENER,
        options.DEFAULT_LISTENER,
        options.BRIDGE,
        options.PLUGIN,
    )
    assert option.support in (options.WORKS, options.INERT, options.LATER)
    assert option.meaning[0].isupper()
    assert option.meaning.endswith(".")


#: What options set, by their place.
OWNERS: dict[str, Callable[[], object]] = {
    options.GENERAL: Settings,
    options.SECURITY: Settings,
    options.LISTENER: ListenerSettings,
    options.DEFAULT_LISTENER: ListenerSettings,
    options.BRIDGE: lambda: BridgeSettings(name="x"),
    options.PLUGIN: lambda: PluginSettings(path="x"),
}


@pytest.mark.parametrize(
    "option",
    [option for option in OPTIONS.values() if option.setting is not None],
    ids=lambda option: option.name,
)
def test_what_an_option_sets_exists_and_has_its_default(option: options.Option) -> None:
    assert option.setting is not None
    default = getattr(OWNERS[option.place](), option.setting)
    if option.place == options.SECURITY:
        assert hasattr(ListenerSettings(), option.setting)
    if option.kind == options.OWN:
        return  # their tests are those of their forms
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    if option.default is None:
        assert default in (None, 0, ())
    else:
        assert shown == option.default


def test_an_option_with_a_form_of_its_own_has_something_that_reads_it() -> None:
    forms = FORMS | BRIDGE_FORMS
    assert set(forms) <= set(OPTIONS)
    own = {option.name for option in OPTIONS.values() if option.kind == options.OWN}
    assert own <= set(forms)


def test_another_name_of_an_option_stands_for_one_of_the_same_kind() -> None:
    for option in OPTIONS.values():
        if option.alias_of is not None:
            meant = OPTIONS[option.alias_of]
            assert (option.kind, option.place) == (meant.kind, meant.place), option.name
            assert option.setting == meant.setting, option.name
            assert meant.alias_of is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_qoss", "max_qos"),
        ("MAX_QOS", "max_qos"),
        ("allow_anonymus", "allow_anonymous"),
        ("passwd_file", "password_file"),
        ("zzz", None),
    ],
)
def test_a_mistyped_name_is_near_to_the_one_that_was_meant(name: str, meant: str | None) -> None:
    assert options.nearest(name) == meant


def test_options_with_a_free_ending_are_found_by_their_beginning() -> None:
    found = find("plugin_opt_db_file")
    assert found is OPTIONS["plugin_opt_*"]
    assert find("auth_opt_x") is OPTIONS["auth_opt_*"]
    assert find("plugin_opt") is None
    assert find("nonsense") is None
