"""Judges what can only be judged when a whole configuration was read.

First come combinations that cannot work, in Mosquitto's words; then bridges and plugins, which
midge has not, one plugin excepted whose options are taken for ours (``go_auth``); then what has no
effect where it stands, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from midge.config import go_auth, options, persist_sqlite
from midge.config.bridges import BridgeSettings
from midge.config.options import OPTIONS
from midge.config.render import values
from midge.config.settings import ListenerSettings, Settings
from midge.config.values import Fault, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from midge.config.reader import Reader
    from midge.config.security import SecuritySettings


def check(reader: Reader) -> None:
    """Judge what was read.

    Raises:
        ConfigError: it cannot be used, and the reader does not collect errors.
    """
    for bridge in reader.bridges:
        for text in _faults_of_bridge(bridge):
            reader.refuse(Fault(text), reader.where(bridge, "connection"))
    _check_local_ids(reader)
    for listener in reader.listeners:
        for name, text in _faults_of_listener(listener):
            reader.refuse(Fault(text), reader.where(listener, name))
    for bridge in reader.bridges:
        reader.refuse(unsupported("connection"), reader.where(bridge, "connection"))
    for plugin in reader.plugins:
        if go_auth.is_go_auth(plugin):
            go_auth.adopt(reader, plugin)
            continue
        if persist_sqlite.is_persist_sqlite(plugin):
            persist_sqlite.adopt(reader, plugin)
            continue
        name = plugin.loaded_by
        reader.refuse(unsupported(name), reader.where(plugin, OPTIONS[name].alias_of or name))
    for (owner_id, name), where in reader.origins.items():
        owner = _owner(reader, owner_id)
        why = None if owner is None else _without_effect(reader, owner, name)
        if why is not None:
            reader.say("warning", f"Warning: The '{name}' option has no effect ({where}): {why}.")


def _owner(reader: Reader, owner_id: int) -> Settings | ListenerSettings | None:
    if owner_id == id(reader.settings):
        return reader.settings
    listeners = reader.listeners if reader.local is None else [*reader.listeners, reader.local]
    return next((each for each in listeners if id(each) == owner_id), None)


# -- what cannot work --------------------------------------------------------------------------


def _faults_of_bridge(bridge: BridgeSettings) -> Iterator[str]:
    if not bridge.addresses:
        yield "Error: Invalid bridge configuration: no remote addresses defined."
    if not bridge.topics:
        yield "Error: Invalid bridge configuration: no topics defined."
    if bridge.psk is not None and bridge.identity is None:
        yield "Error: Invalid bridge configuration: missing bridge_identity."
    if bridge.identity is not None and bridge.psk is None:
        yield "Error: Invalid bridge configuration: missing bridge_psk."


def _check_local_ids(reader: Reader) -> None:
    """Bridges are told apart by their local client id, which is made of the remote one."""
    seen: set[str] = set()
    for bridge in reader.bridges:
        client_id = bridge.local_client_id
        if client_id is None and bridge.remote_client_id is not None:
            client_id = f"local.{bridge.remote_client_id}"
        if client_id is None:
            continue  # it is made of the bridge's name, which only one has
        if client_id in seen:
            reader.refuse(
                Fault(
                    f"Error: Bridge local_clientid '{client_id}' is not unique. Try changing or "
                    "setting the local_clientid value for one of the bridges."
                ),
                reader.where(bridge, "connection"),
            )
        seen.add(client_id)


def _faults_of_listener(listener: ListenerSettings) -> Iterator[tuple[str, str]]:
    """The option that is at fault, and what is wrong."""
    has = listener.certfile is not None
    if has != (listener.keyfile is not None):
        yield (
            "certfile" if has else "keyfile",
            "Error: Both certfile and keyfile must be provided to enable a TLS listener.",
        )
    for name in ("cafile", "capath"):
        if getattr(listener, name) is not None and not has:
            yield name, f"Error: {name} specified without certfile and keyfile."
    if listener.proxy_protocol == 2:
        if listener.use_subject_as_username:
            yield (
                "use_subject_as_username",
                "Error: use_subject_as_username cannot be used with `enable_proxy_protocol 2`.",
            )
        if has or listener.keyfile is not None:
            yield (
                "enable_proxy_protocol",
                "Error: certfile and keyfile cannot be used with `enable_proxy_protocol 2`.",
            )


# -- what has no effect ------------------------------------------------------------------------


def _without_effect(reader: Reader, owner: Settings | ListenerSettings, name: str) -> str | None:
    """Why what was said of an option has no effect; ``None`` where it has one."""
    option = OPTIONS[name]
    if owner is reader.default and reader.local_only and option.place == options.DEFAULT_LISTENER:
        return "there is no 'listener' that it could belong to"
    if option.setting is None or option.support != options.WORKS:
        return None
    if values(option, owner) == ([] if option.default is None else [option.default]):
        return None
    if isinstance(owner, Settings):
        why = _broken(_OF_SETTINGS, owner, name)
    else:
        why = _broken(_OF_LISTENER, owner, name)
    return why or _broken(_OF_SECURITY, owner, name)


_Kind = TypeVar("_Kind")
#: Options, when they have an effect, and why else they have none.
_Rules: TypeAlias = "tuple[tuple[frozenset[str], Callable[[_Kind], bool], str], ...]"


def _broken(rules: _Rules[_Kind], owner: _Kind, name: str) -> str | None:
    """Why an option has no effect by these rules."""
    return next((why for names, holds, why in rules if name in names and not holds(owner)), None)


_OF_LISTENER: Final[tuple[tuple[frozenset[str], Callable[[ListenerSettings], bool], str], ...]] = (
    (
        frozenset(
            {
                *("ciphers", "ciphers_tls1.3", "crlfile", "disable_client_cert_date_checks"),
                *("require_certificate", "tls_keyform", "tls_version"),
                *("use_identity_as_username", "use_subject_as_username"),
            }
        ),
        lambda it: bool(it.certfile or it.psk_hint or it.proxy_protocol == 2),
        "the listener has no 'certfile', so it does not use TLS",
    ),
    (
        frozenset(
            {
                *("crlfile", "disable_client_cert_date_checks"),
                *("use_identity_as_username", "use_subject_as_username"),
            }
        ),
        lambda it: bool(it.require_certificate or it.psk_hint or it.proxy_protocol == 2),
        "clients are only asked for a certificate with 'require_certificate true'",
    ),
    (
        frozenset({"websockets_origin"}),
        lambda it: it.protocol in ("websockets", "zmtp"),
        "the listener has neither 'protocol websockets' nor 'protocol zmtp'",
    ),
    (
        frozenset({"http_dir"}),
        lambda it: it.protocol in ("websockets", "http_api"),
        "the listener has neither 'protocol websockets' nor 'protocol http_api'",
    ),
    (
        frozenset({"zmtp_mechanism", "zmtp_queue", "zmtp_user_queue"}),
        lambda it: it.protocol == "zmtp",
        "the listener does not have 'protocol zmtp'",
    ),
    (
        frozenset({"zmtp_curve_keys", "zmtp_curve_secret"}),
        lambda it: it.zmtp_mechanism == "curve",
        "the listener does not have 'zmtp_mechanism curve'",
    ),
    (
        frozenset({"proxy_protocol_v2_require_tls"}),
        lambda it: it.proxy_protocol == 2,
        "the listener does not have 'enable_proxy_protocol 2'",
    ),
    (
        frozenset({"bind_interface", "socket_domain"}),
        lambda it: it.unix_path is None,
        "a Unix socket has no address",
    ),
)
_OF_SETTINGS: Final[_Rules[Settings]] = (
    (
        frozenset({"persistence_location", "persistence_sync"}),
        lambda it: it.persistence,
        "nothing is kept without 'persistence true'",
    ),
    (
        frozenset({"log_facility"}),
        lambda it: "syslog" in it.log_destinations,
        "the log does not go to syslog, see 'log_dest'",
    ),
    (
        frozenset({"log_timestamp_format"}),
        lambda it: it.log_timestamp,
        "lines of the log have no time with 'log_timestamp false'",
    ),
)
_OF_SECURITY: Final[_Rules[SecuritySettings]] = (
    (
        frozenset({"acl_refuse_subscribe"}),
        lambda it: bool(it.acl_file),
        "there is no 'acl_file'",
    ),
    (
        frozenset(
            {
                *("jwt_algorithms", "jwt_audience", "jwt_disconnect_on_expiry", "jwt_issuer"),
                "jwt_username_claim",
            }
        ),
        lambda it: bool(it.jwt_key_file or it.jwt_key_url),
        "there is neither 'jwt_key_file' nor 'jwt_key_url', so nobody looks at tokens",
    ),
    (
        frozenset(
            {
                *("http_auth_cache", "http_auth_params", "http_auth_response"),
                "http_auth_timeout",
            }
        ),
        lambda it: bool(
            it.http_auth_user_url or it.http_auth_acl_url or it.http_auth_superuser_url
        ),
        "no HTTP service is asked, see 'http_auth_user_url' and 'http_auth_acl_url'",
    ),
)
