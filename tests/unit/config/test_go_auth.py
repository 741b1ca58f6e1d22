"""The options of mosquitto-go-auth, read as options of midge."""

from __future__ import annotations

import pytest

from midge.config.mosquitto_conf import parse
from midge.config.settings import Configuration
from midge.errors import ConfigError

LOAD = "auth_plugin /usr/lib/go-auth.so\n"
HTTP = "".join(
    f"auth_opt_http_{name} {value}\n"
    for name, value in {
        "host": "auth.example",
        "port": "8080",
        "getuser_uri": "/user",
        "superuser_uri": "/super",
        "aclcheck_uri": "/acl",
    }.items()
)


def read(options: str, load: str = LOAD) -> Configuration:
    return parse(f"{load}{options}listener 1883\n", "m.conf")


def refused(options: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(options)
    return caught.value


def test_files_are_passwords_and_rules() -> None:
    for names in (("files_password_path", "files_acl_path"), ("password_path", "acl_path")):
        settings = read(
            f"auth_opt_backends files\nauth_opt_{names[0]} /p w\nauth_opt_{names[1]} /acl\n"
        ).settings
        assert (settings.password_file, settings.acl_file) == ("/p w", "/acl")
        assert settings.http_auth_user_url is None
        assert settings.allow_anonymous is False


def test_http_is_three_addresses_and_how_to_ask() -> None:
    settings = read(
        f"auth_opt_backends http\n{HTTP}auth_opt_http_params_mode form\n"
        "auth_opt_http_response_mode text\nauth_opt_http_timeout 7\nauth_opt_http_method POST\n"
    ).settings
    assert settings.http_auth_user_url == "http://auth.example:8080/user"
    assert settings.http_auth_superuser_url == "http://auth.example:8080/super"
    assert settings.http_auth_acl_url == "http://auth.example:8080/acl"
    assert (settings.http_auth_params, settings.http_auth_response) == ("form", "text")
    assert (settings.http_auth_timeout_s, settings.http_auth_cache_s) == (7, 0)
    assert settings.password_file is None


@pytest.mark.parametrize(
    ("options", "cache_s"),
    [
        ("auth_opt_cache true\n", 30),
        ("auth_opt_cache true\nauth_opt_auth_cache_seconds 300\n", 300),
        ("auth_opt_cache 1\nauth_opt_acl_cache_seconds 9\nauth_opt_auth_cache_seconds 300\n", 9),
        ("auth_opt_cache false\nauth_opt_auth_cache_seconds 300\n", 0),
    ],
)
def test_the_shorter_of_the_two_times_of_its_cache_counts(options: str, cache_s: int) -> None:
    assert read(f"auth_opt_backends http\n{HTTP}{options}").settings.http_auth_cache_s == cache_s


def test_tls_to_the_service_and_no_superusers_can_be_asked_for() -> None:
    made = read(
        f"auth_opt_backends http\n{HTTP}auth_opt_http_with_tls true\n"
        "auth_opt_disable_superuser true\n"
    )
    assert made.settings.http_auth_acl_url == "https://auth.example:8080/acl"
    assert made.settings.http_auth_superuser_url is None
    (warning,) = [line for kind, line in made.messages if kind == "warning"]
    assert "'http_verify_peer'" in warning
    quiet = read(
        f"auth_opt_backends http\n{HTTP}auth_opt_http_with_tls true\n"
        "auth_opt_http_verify_peer true\n"
    )
    assert not [line for kind, line in quiet.messages if kind == "warning"]


def test_an_ipv6_address_is_an_address() -> None:
    options = f"auth_opt_backends http\n{HTTP}".replace("auth.example", "::1")
    assert read(options).settings.http_auth_user_url == "http://[::1]:8080/user"


def test_what_makes_no_difference_is_left_out_and_what_is_done_is_told() -> None:
    made = read(
        "auth_opt_backends files\nauth_opt_password_path /pw\nauth_opt_log_level debug\n"
        "auth_opt_hasher argon2id\nauth_opt_cache_type redis\nauth_opt_hasher_iterations 5\n"
    )
    (line,) = [line for _, line in made.messages if "go-auth" in line]
    assert line == (
        "The options of go-auth.so are taken for midge's own (m.conf:1): password_file."
    )
    assert made.origins[-1, "password_file"] == "m.conf:1"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("auth_opt_backends postgres\n", "'backends postgres'"),
        ("auth_opt_backends files, jwt\nauth_opt_password_path /p\n", "'backends jwt'"),
        ("auth_opt_backends files\nauth_opt_check_prefix true\n", "'check_prefix true'"),
        ("auth_opt_backends files\nauth_opt_hasher bcrypt\n", "'hasher bcrypt'"),
        (f"auth_opt_backends http\n{HTTP}auth_opt_http_method GET\n", "'http_method GET'"),
        ("auth_opt_backends files\nauth_opt_pg_host h\n", "'pg_host h'"),
        ("auth_opt_backends files\n", "'auth_opt_files_password_path'"),
        ("auth_opt_backends http\nauth_opt_http_host h\n", "'auth_opt_http_port'"),
        ("auth_opt_log_level debug\n", "'auth_opt_backends'"),
        (
            f"auth_opt_backends http\n{HTTP}auth_opt_http_timeout soon\n",
            "'http_timeout' (soon)",
        ),
        (
            "auth_opt_backends files\nauth_opt_password_path /p\npassword_file /q\n",
            "'password_file' says something else than the plugin's options (m.conf:4)",
        ),
    ],
)
def test_what_cannot_be_done_is_an_error_that_names_it(options: str, named: str) -> None:
    fault = refused(options)
    assert named in str(fault)
    assert fault.line == 1


def test_with_settings_of_each_listener_it_goes_for_its_own() -> None:
    made = parse(
        "per_listener_settings true\nlistener 1883\nauth_plugin /x/mosquitto-go-auth.so\n"
        "auth_opt_backends files\nauth_opt_password_path /pw\nlistener 1884\n",
        "m.conf",
    )
    assert [listener.password_file for listener in made.listeners] == ["/pw", None]
    assert made.settings.password_file is None


@pytest.mark.parametrize("load", ["auth_plugin /x/dynsec.so\n", "plugin_load a /x/go-auth.so\n"])
def test_other_plugins_are_refused_as_such(load: str) -> None:
    with pytest.raises(ConfigError, match="is not supported by this version of midge"):
        read("", load)
