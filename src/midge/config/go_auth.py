"""Options of mosquitto-go-auth, the plugin that Home Assistant's add-on loads, as options of ours.

midge loads no plugins written for Mosquitto. What this one does most (a password file, an ACL file,
questions to an HTTP service) it can do itself; so a configuration that loads it is read as if it
had ``password_file``, ``acl_file`` and ``http_auth_...`` in its place. What cannot be done is an
error that names the plugin's option; what makes no difference is left out.

Where midge is stricter: a ``deny`` of the ACL file is final, and the certificate of a service is
always verified.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from midge.config.options import OPTIONS
from midge.config.values import Fault
from midge.limits import HTTP_AUTH_CACHE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midge.config.plugins import PluginSettings
    from midge.config.reader import Reader

_TRUE: Final = ("true", "1")
_FALSE: Final = ("false", "0")
#: What says how the plugin works inside, or makes hashes, which nothing here does.
_WITHOUT_DIFFERENCE: Final = frozenset(
    {
        *("log_level", "log_dest", "log_file", "retry_count", "exhaust_backend_first"),
        *("cache_type", "cache_reset", "cache_refresh", "cache_host", "cache_port"),
        *("cache_password", "cache_db", "cache_mode", "cache_addresses"),
        *("auth_jitter_seconds", "acl_jitter_seconds", "http_user_agent", "http_verify_peer"),
        *("hasher_iterations", "hasher_keylen", "hasher_salt_size", "hasher_algorithm"),
        *("hasher_memory", "hasher_parallelism", "superuser_cache_seconds"),
    }
)
#: What must have one of these values, if it is given at all.
_ONLY: Final = {
    "check_prefix": _FALSE,
    "hasher": ("pbkdf2", "argon2id"),
    "hasher_salt_encoding": ("base64",),
    "http_method": ("POST", "post"),
    "http_params_mode": ("json", "form"),
    "http_response_mode": ("status", "json", "text"),
    "http_with_tls": _TRUE + _FALSE,
    "cache": _TRUE + _FALSE,
    "disable_superuser": _TRUE + _FALSE,
}
_READ: Final = frozenset(
    {
        *("backends", "files_password_path", "password_path", "files_acl_path", "acl_path"),
        *("http_host", "http_port", "http_getuser_uri", "http_superuser_uri"),
        *("http_aclcheck_uri", "http_timeout", "auth_cache_seconds", "acl_cache_seconds"),
        *("prefixes", *_ONLY),
    }
)


def is_go_auth(plugin: PluginSettings) -> bool:
    """Whether a plugin is this one, by the name of its file, and is loaded for everybody there."""
    name = posixpath.basename(plugin.path)
    return "go-auth" in name and name.endswith(".so") and plugin.name is None


def adopt(reader: Reader, plugin: PluginSettings) -> None:
    """Set what the plugin's options say; what cannot be done is told to the reader.

    Raises:
        ConfigError: something cannot be done, and the reader does not collect errors.
    """
    where = reader.where(plugin, OPTIONS[plugin.loaded_by].alias_of or plugin.loaded_by)
    try:
        settings = dict(_settings(dict(plugin.options)))
    except Fault as fault:
        reader.refuse(fault, where)
        return
    owner = plugin.owner
    assert owner is not None
    assert where is not None
    for name, value in settings.items():
        option = OPTIONS[name]
        assert option.setting is not None
        own = reader.where(owner, name)
        if own is not None and getattr(owner, option.setting) != value:
            text = f"Error: '{name}' says something else than the plugin's options ({own})."
            reader.refuse(Fault(text), where)
        setattr(owner, option.setting, value)
        reader.origins.setdefault((id(owner), name), where)
    verified = dict(plugin.options).get("http_verify_peer") in _TRUE
    if str(settings.get("http_auth_user_url", "")).startswith("https:") and not verified:
        reader.say(
            "warning",
            "Warning: the certificate of the HTTP service is verified, although 'http_verify_peer' "
            f"of the plugin's options is not true ({where}).",
        )
    reader.say(
        "information",
        f"The options of {posixpath.basename(plugin.path)} are taken for midge's own "
        f"({where}): {', '.join(sorted(settings))}.",
    )


def _settings(given: dict[str, str]) -> Iterator[tuple[str, object]]:
    """Options of ours, and their values."""
    for name, value in given.items():
        if name in _WITHOUT_DIFFERENCE:
            continue
        if name not in _READ or (name in _ONLY and value not in _ONLY[name]):
            raise _cannot(f"{name} {value}")
    backends = [word.strip() for word in given.get("backends", "").split(",") if word.strip()]
    if not backends:
        raise Fault("Error: mosquitto-go-auth without 'auth_opt_backends' asks nobody.")
    for backend in backends:
        if backend not in ("files", "http"):
            raise _cannot(f"backends {backend}")
    if "files" in backends:
        yield from _files(given)
    if "http" in backends:
        yield from _http(given)


def _files(given: dict[str, str]) -> Iterator[tuple[str, object]]:
    passwords = given.get("files_password_path", given.get("password_path"))
    if passwords is None:
        raise _needs("files_password_path", "files")
    yield "password_file", passwords
    rules = given.get("files_acl_path", given.get("acl_path"))
    if rules is not None:
        yield "acl_file", rules


def _http(given: dict[str, str]) -> Iterator[tuple[str, object]]:
    scheme = "https" if given.get("http_with_tls") in _TRUE else "http"
    for name in ("http_host", "http_port", "http_getuser_uri", "http_aclcheck_uri"):
        if name not in given:
            raise _needs(name, "http")
    host = given["http_host"]
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    base = f"{scheme}://{host}:{given['http_port']}"
    yield "http_auth_user_url", base + given["http_getuser_uri"]
    yield "http_auth_acl_url", base + given["http_aclcheck_uri"]
    if "http_superuser_uri" in given and given.get("disable_superuser") not in _TRUE:
        yield "http_auth_superuser_url", base + given["http_superuser_uri"]
    yield "http_auth_params", given.get("http_params_mode", "json")
    yield "http_auth_response", given.get("http_response_mode", "status")
    if "http_timeout" in given:
        yield "http_auth_timeout", _number(given, "http_timeout")
    yield "http_auth_cache", _cache_s(given)


def _cache_s(given: dict[str, str]) -> int:
    """How long answers are good: the plugin has two times for it, of which the shorter counts."""
    if given.get("cache") not in _TRUE:
        return 0
    names = [name for name in ("auth_cache_seconds", "acl_cache_seconds") if name in given]
    return min((_number(given, name) for name in names), default=HTTP_AUTH_CACHE_S)


def _number(given: dict[str, str], name: str) -> int:
    text = given[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Fault(f"Error: Invalid value of mosquitto-go-auth's option '{name}' ({text}).")
    return int(text)


def _cannot(what: str) -> Fault:
    return Fault(
        f"Error: midge cannot do what mosquitto-go-auth does with '{what}'. It has password_file, "
        "acl_file, http_auth_..., jwt_..., and authenticators of your own instead."
    )


def _needs(name: str, backend: str) -> Fault:
    return Fault(f"Error: mosquitto-go-auth's backend '{backend}' needs 'auth_opt_{name}'.")
