"""What is wrong with a configuration, beside the Mosquitto that is installed.

Mosquitto 2.0 names options without the quotes of 2.1, whose wording ours is; quotes are left out of
the comparison. Where 2.0 judges otherwise, the reason stands here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from midge.config.mosquitto_conf import parse
from midge.errors import ConfigError
from tests.peers import program
from tests.process import free_port
from tests.unit.config.error_table import BRIDGE_ERRORS, ERRORS

pytestmark = pytest.mark.peer("mosquitto")

#: Options that 2.0 does not know.
NEW = {
    *("accept_protocol_versions", "listener_auto_id_prefix", "packet_buffer_size", "plugin_load"),
    *("plugin_use", "bridge_reload_type", "bridge_max_topic_alias", "bridge_receive_maximum"),
    *("bridge_session_expiry_interval", "bridge_tcp_keepalive", "bridge_tcp_user_timeout"),
}
#: Last lines that 2.0 judges otherwise, by the reason; long ones are cut.
DIFFERENT = {
    "2.0 reads what begins with a number as that number, and anything else as 0": {
        *("max_keepalive ten", "max_keepalive 10s", "max_keepalive 08"),
        *("max_keepalive 2147483648", "max_keepalive 9999999999999999", "listener x"),
        "memory_limit 92233720368547758",
    },
    "2.0 says it in other words": {
        *("max_packet_size 19", "listener", "address a", "addresses b", "address a:0"),
        *("address a:port", "address a b:65536", "plugin_opt_x 1", "plugin_opt_ab 1", "plugin"),
        *("auth_plugin_deny_special_chars", "bridge_cafile x", "bridge_identity y"),
    },
    "2.0 does not look at this": {
        *("auto_id_prefix xxxxxxxxxxxxxxx", "persistent_client_expiration", "max_topic_alias 1"),
        *("allow_anonymous true", "restart_timeout 1 2 -3", 'topic "a b', "topic a#b"),
    },
    "2.0 looks addresses up while it reads": {"bind_address b"},
}


def _comparable(text: str) -> bool:
    last = text.split("\n")[-1]
    if not text.isascii() or (last.split() or [""])[0] in NEW:
        return False
    return not any(last[:30].rstrip() in lines for lines in DIFFERENT.values())


@pytest.fixture(scope="module")
def mosquitto() -> str:
    """The command, where it is a version whose wording is known here."""
    path = program("mosquitto")
    assert path is not None  # the mark has seen to it
    version = subprocess.run([path, "-h"], capture_output=True, text=True, timeout=10).stdout
    if "version 2.0" not in version:
        pytest.skip(f"compared with 2.0 only, this is {version.splitlines()[0]}")
    return path


def _plain(lines: list[str]) -> list[str]:
    """Errors without time, quotes, and our hint."""
    lines = [re.sub(r"^\d+: ", "", line) for line in lines]
    lines = [re.sub(r" Did you mean '.*'\?$", "", line) for line in lines]
    return [re.sub("['\"]", "", line) for line in lines if line.startswith("Error")]


@pytest.mark.parametrize(
    "text",
    [text for text, _ in ERRORS + BRIDGE_ERRORS if _comparable(text)],
)
def test_an_error_is_the_one_of_the_mosquitto_that_is_installed(
    text: str, mosquitto: str, tmp_path: Path
) -> None:
    file = tmp_path / "m.conf"
    file.write_text(text)
    done = subprocess.run(
        # The port is for one that starts after all: it must not take that of somebody else.
        [mosquitto, "-p", str(free_port()), "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=3,
        errors="replace",
    )
    assert done.returncode == 3
    theirs = _plain(done.stderr.splitlines())
    with pytest.raises(ConfigError) as caught:
        parse(text, str(file))
    assert theirs == _plain(caught.value.lines())
