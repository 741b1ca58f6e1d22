"""The configurations that people run, on midge and on Debian's Mosquitto, with Mosquitto's clients.

Paths are moved below a directory of the test and ports are changed to free ones; nothing else is
touched. What the clients see must be the same from both. What a broker cannot do yet is a skip that
names the option.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers import program
from tests.process import free_port

pytestmark = pytest.mark.peer("mosquitto_pub", "mosquitto_sub")

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
#: Directories that the configurations name.
PLACES = (
    "/etc/mosquitto",
    "/var/log/mosquitto",
    "/var/lib/mosquitto",
    "/var/run",
    "/run/mosquitto",
)
PLACES += ("/mosquitto/config", "/mosquitto/data", "/mosquitto/log", "/data", "/ssl")

#: bob's password is "secret", that of the bridge "other", as mosquitto_passwd writes them.
ACL = "user bob\ntopic readwrite bob/#\ntopic read all/#\n\npattern readwrite own/%u/#\n"


class Site:
    """A configuration made ready to run, and the broker that runs it."""

    def __init__(self, whose: str, name: str, directory: Path) -> None:
        self.whose = whose
        self.directory = directory
        self.ports: dict[int, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        for place in PLACES:
            (directory / place[1:]).mkdir(parents=True, exist_ok=True)
        if (CONFIGS / name.replace(".conf", ".d")).is_dir():
            for part in (CONFIGS / name.replace(".conf", ".d")).glob("*.conf"):
                self._write(f"{name.replace('.conf', '.d')}/{part.name}", part.read_text())
        self.file = self._write(name, (CONFIGS / name).read_text())
        self.log = directory / "output"

    def _write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        text = re.sub(r"^(listener|port) (\d+)", self._move_port, text, flags=re.MULTILINE)
        for place in PLACES:
            text = re.sub(rf"(?<= ){place}(?=[/\s])", f"{self.directory}{place}", text)
        text = re.sub(r"^include_dir (\S+)", rf"include_dir {self.directory}/\1", text, flags=re.M)
        text = re.sub(r"^user .*$", "", text, flags=re.M)
        if path.parent == self.directory and os.geteuid() == 0:
            text = f"user root\n{text}"  # another user could not read the directory of a test
        path.write_text(text)
        return path

    def _move_port(self, found: re.Match[str]) -> str:
        port = free_port()
        self.ports[int(found[2])] = port
        return f"{found[1]} {port}"

    def put(self, path: str, text: str) -> None:
        """Write a file that the configuration names."""
        (self.directory / path[1:]).write_text(text)
        (self.directory / path[1:]).chmod(0o600)

    def passwords(self, path: str) -> None:
        """A password file with one user, bob, made by Mosquitto's program."""
        command = [program("mosquitto_passwd") or "", "-b", "-c"]
        subprocess.run([*command, str(self.directory / path[1:]), "bob", "secret"], check=True)

    def start(self) -> None:
        """Run the broker until it serves."""
        command = [sys.executable, "-m", "midge", "broker"]
        if self.whose == "mosquitto":
            command = [program("mosquitto") or "", "-v"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-c", str(self.file)], stdout=log, stderr=log
            )
        for port in self.ports.values():
            deadline = time.monotonic() + 10
            while not self._listens(port):
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    @staticmethod
    def _listens(port: int) -> bool:
        wanted = f":{port:04X}"
        rows = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        return any(
            row.split()[1].endswith(wanted) and row.split()[3] == "0A"
            for row in rows.splitlines()
            if ":" in row.split()[0]
        )

    def stop(self) -> int:
        """End the broker; returns its exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
        status = self._process.wait(15)
        self._process = None
        return status

    def publish(self, port: int, topic: str, payload: str, *flags: str) -> int:
        """The exit status of mosquitto_pub; what is wrong with a connection is not compared."""
        return subprocess.run(
            [
                *(program("mosquitto_pub") or "", "-h", "127.0.0.1", "-p", str(self.ports[port])),
                *("-t", topic, "-m", payload, "-q", "1", *flags),
            ],
            capture_output=True,
            timeout=20,
        ).returncode

    def retained(self, port: int, filter: str, *flags: str) -> list[str]:
        """What mosquitto_sub finds retained."""
        command = [program("mosquitto_sub") or "", "-h", "127.0.0.1", "-p", str(self.ports[port])]
        done = subprocess.run(
            [*command, "-t", filter, "-v", "-W", "1", *flags],
            capture_output=True,
            text=True,
            timeout=20,
        )
        return sorted(done.stdout.splitlines())


def needs(option: str, site: Site) -> None:
    """Skip where this version of midge refuses an option of the configuration."""
    if site.whose != "midge":
        return
    done = subprocess.run(
        [sys.executable, "-m", "midge", "broker", "--test-config", "-c", str(site.file)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    if done.returncode and f"'{option}" in done.stderr and "not supported" in done.stderr:
        pytest.skip(f"this version of midge refuses the option {option}")


Make = Callable[[str, str], Site]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    sites: list[Site] = []

    def made(whose: str, name: str) -> Site:
        if whose == "mosquitto" and program("mosquitto") is None:
            pytest.skip("mosquitto is not installed")
        directory = tmp_path / whose
        directory.mkdir()
        sites.append(Site(whose, name, directory))
        return sites[-1]

    yield made
    for site in sites:
        site.stop()


BOB = ("-u", "bob", "-P", "secret")
BOTH = ("midge", "mosquitto")


def same(make: Make, name: str, scenario: Callable[[Site], list[object]]) -> list[object]:
    """What happens with a configuration, the same with both brokers."""
    ours, theirs = (scenario(make(whose, name)) for whose in BOTH)
    assert ours == theirs
    return ours


def test_zigbee2mqtt(make: Make) -> None:
    def scenario(site: Site) -> list[object]:
        site.start()
        seen: list[object] = [site.publish(1883, "zigbee2mqtt/bridge/state", "online", "-r")]
        seen.append(site.publish(1883, "zigbee2mqtt/lamp", "on", "-r"))
        seen.append(site.stop())
        site.start()  # what is retained outlives the process
        seen.append(site.retained(1883, "zigbee2mqtt/#"))
        return seen

    assert same(make, "zigbee2mqtt.conf", scenario) == [
        0,
        0,
        0,
        ["zigbee2mqtt/bridge/state online", "zigbee2mqtt/lamp on"],
    ]


def test_passwords_and_acl(make: Make) -> None:
    def scenario(site: Site) -> list[object]:
        site.passwords("/etc/mosquitto/passwd")
        site.put("/etc/mosquitto/acl", ACL)
        site.start()
        seen: list[object] = [
            site.publish(1883, "bob/x", "1", "-r", *BOB),
            site.publish(1883, "own/bob/x", "2", "-r", *BOB),
            site.publish(1883, "all/x", "3", "-r", *BOB),  # accepted, and goes nowhere
            site.publish(1883, "other/x", "4", "-r", *BOB),
            site.publish(1883, "bob/x", "no", "-r", "-u", "bob", "-P", "wrong"),
            site.publish(1883, "bob/x", "no", "-r", "-u", "eve", "-P", "secret"),
            site.publish(1883, "bob/x", "no", "-r"),
            site.retained(1883, "#", *BOB),
            site.retained(1883, "#"),
        ]
        seen.append(site.stop())
        log = (site.directory / "var/log/mosquitto/mosquitto.log").read_text()
        # Only three kinds of lines were asked for, with a time in their own form.
        kinds = [re.sub(r"auto-\S+|mosq-\S+", "ID", line) for line in log.splitlines()]
        seen.append(all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: ", line) for line in kinds))
        seen.append(any(re.search(r": ID 0 #$", line) for line in kinds))
        return seen

    assert same(make, "passwords_acl.conf", scenario) == [
        *(0, 0, 0, 0, 5, 5, 5),
        ["bob/x 1", "own/bob/x 2"],
        [],
        *(0, True, True),
    ]


def test_debian_with_a_file_of_one_s_own(make: Make) -> None:
    def scenario(site: Site) -> list[object]:
        site.passwords("/etc/mosquitto/passwd")
        site.start()
        pid = (site.directory / "run/mosquitto/mosquitto.pid").read_text().strip()
        seen: list[object] = [
            pid == str(site._process.pid if site._process else 0),
            site.publish(1883, "t", "x", "-r", *BOB),
            site.publish(1883, "t", "x", "-r"),
            site.publish(1883, "t", "x" * 100_001, *BOB),
            site.publish(1883, "t", "y", "-r", *BOB),
            site.retained(1883, "t", *BOB),
        ]
        site.stop()
        seen.append((site.directory / "run/mosquitto/mosquitto.pid").exists())
        seen.append((site.directory / "var/log/mosquitto/mosquitto.log").stat().st_size > 0)
        return seen

    seen = same(make, "debian.conf", scenario)
    assert seen == [True, 0, 5, 0, 0, ["t y"], False, True]


def test_an_open_and_a_closed_listener(make: Make) -> None:
    def scenario(site: Site) -> list[object]:
        site.passwords("/etc/mosquitto/passwd")
        site.put("/etc/mosquitto/acl", "user bob\ntopic read open/#\ntopic readwrite bob/#\n")
        if site.whose == "mosquitto":
            # 2.0 has the option under its old name.
            text = site.file.read_text().replace("listener_allow_anonymous", "allow_anonymous")
            site.file.write_text(text)
        site.start()
        return [
            site.publish(1883, "open/x", "1", "-r"),
            site.publish(1884, "open/x", "no", "-r"),
            site.publish(1884, "open/x", "no", "-r", *BOB),
            site.publish(1884, "bob/x", "2", "-r", *BOB),
            site.retained(1884, "#", *BOB),
            site.retained(1883, "#"),
        ]

    seen = same(make, "per_listener.conf", scenario)
    assert seen == [0, 5, 0, 0, ["bob/x 2", "open/x 1"], ["bob/x 2", "open/x 1"]]


# -- TLS and websockets --------------------------------------------------------------------------


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def certificates(directory: Path) -> None:
    """An authority, a server's and a client's certificate (bob's), and a list without entries."""
    directory.mkdir(parents=True, exist_ok=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        directory,
        *("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Test CA"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    for name, subject in (("server", "127.0.0.1"), ("client", "bob")):
        openssl(
            directory,
            *(
                "req",
                *key,
                "-keyout",
                f"{name}.key",
                "-out",
                f"{name}.csr",
                "-subj",
                f"/CN={subject}",
            ),
        )
        (directory / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl(
            directory,
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.crt", "-extfile", "ext"),
        )
    (directory / "index.txt").write_text("")
    (directory / "ca.cnf").write_text(
        "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n"
    )
    openssl(
        directory,
        *("ca", "-gencrl", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.crt"),
        *("-out", "revoked.pem"),
    )


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")


@needs_openssl
def test_tls_and_client_certificates(make: Make, tmp_path: Path) -> None:
    certificates(tmp_path / "made")

    def scenario(site: Site) -> list[object]:
        needs("cafile", site)
        made, etc = tmp_path / "made", site.directory / "etc/mosquitto"
        for folder in ("ca_certificates", "certs"):
            (etc / folder).mkdir()
        for name, where in (
            ("ca.crt", "ca_certificates/ca.crt"),
            ("revoked.pem", "ca_certificates/revoked.pem"),
            ("server.crt", "certs/server.crt"),
            ("server.key", "certs/server.key"),
        ):
            shutil.copy(made / name, etc / where)
        site.put("/etc/mosquitto/acl", "user bob\ntopic readwrite bob/#\n")
        site.start()
        tls = ("--cafile", str(made / "ca.crt"))
        bob = (*tls, "--cert", str(made / "client.crt"), "--key", str(made / "client.key"))
        return [
            site.publish(8883, "bob/x", "1", "-r", *bob),
            site.publish(8883, "eve/x", "1", "-r", *bob),
            site.publish(8883, "bob/x", "no", "-r", *tls) != 0,
            site.publish(8883, "bob/x", "no", "-r") != 0,
            site.retained(8883, "#", *bob),
        ]

    assert same(make, "tls_client_certificates.conf", scenario) == [0, 0, True, True, ["bob/x 1"]]


@pytest.mark.peer("paho")
def test_websockets_behind_a_proxy(make: Make) -> None:
    def scenario(site: Site) -> list[object]:
        needs("protocol websockets", site)
        if site.whose == "mosquitto":
            # 2.0 has no websockets_origin.
            site.file.write_text(
                re.sub(r"^websockets_origin.*$", "", site.file.read_text(), flags=re.M)
            )
        site.passwords("/etc/mosquitto/passwd")
        site.start()
        return [
            over_websockets(site.ports[9001], "bob", "secret"),
            over_websockets(site.ports[9001], "bob", "wrong"),
            site.publish(1883, "t", "x", "-r", *BOB),
            site.retained(1883, "#", *BOB),
        ]

    assert same(make, "websockets_proxy.conf", scenario) == [0, 0x87, 0, ["t x", "ws/x over"]]


def over_websockets(port: int, user: str, password: str) -> int:
    """Publish with paho over websockets; returns the reason code of the CONNACK."""
    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    codes: list[int] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, transport="websockets")
    client.ws_set_options(headers={"Origin": "https://example.org"})
    client.username_pw_set(user, password)
    client.on_connect = lambda *given: codes.append(given[3].value)
    client.connect("127.0.0.1", port)
    deadline = time.monotonic() + 10
    while not codes and time.monotonic() < deadline:
        client.loop(0.05)
    if codes == [0]:
        told = client.publish("ws/x", "over", 1, True)
        while not told.is_published() and time.monotonic() < deadline:
            client.loop(0.05)
        client.disconnect()
    return codes[0]


class Supervisor(http.server.BaseHTTPRequestHandler):
    """Answers as the service of Home Assistant does: bob may come in and do everything."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        knows = '"bob"' in body or "username=bob" in body
        if self.path == "/authentication":
            knows = knows and "secret" in body
        self.send_response(200 if knows else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@needs_openssl
@pytest.mark.parametrize("name", ["home_assistant.conf", "home_assistant_plugin.conf"])
def test_home_assistant(make: Make, tmp_path: Path, name: str) -> None:
    certificates(tmp_path / "made")
    site = make("midge", name)  # Mosquitto has no HTTP service without a plugin
    needs("cafile", site)
    needs("protocol websockets", site)
    made = tmp_path / "made"
    shutil.copy(made / "server.crt", site.directory / "ssl/fullchain.pem")
    shutil.copy(made / "server.key", site.directory / "ssl/privkey.pem")
    # As the add-on's program makes it, with fewer rounds; the password is "of the add-on".
    digest = hashlib.pbkdf2_hmac("sha512", b"of the add-on", b"salt" * 4, 1000)
    salt_text, digest_text = (base64.b64encode(one).decode() for one in (b"salt" * 4, digest))
    site.put("/etc/mosquitto/pw", f"addons:PBKDF2$sha512$1000${salt_text}${digest_text}\n")
    site.put("/etc/mosquitto/acl", "user addons\ntopic readwrite addons/#\n")
    addons = ("-u", "addons", "-P", "of the add-on")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Supervisor) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        text = site.file.read_text().replace(":80/", f":{service.server_port}/")
        text = text.replace("http_port 80", f"http_port {service.server_port}")
        site.file.write_text(text)
        site.start()
        tls = ("--cafile", str(made / "ca.crt"))
        assert site.publish(1883, "t", "1", "-r", *BOB) == 0
        assert site.publish(8883, "t/tls", "2", "-r", *BOB, *tls) == 0
        assert site.publish(1883, "t", "no", "-r", "-u", "bob", "-P", "wrong") == 5
        assert site.publish(1883, "t", "no", "-r") == 5
        assert over_websockets(site.ports[1884], "bob", "secret") == 0
        assert site.publish(1883, "addons/x", "no", "-u", "addons", "-P", "wrong") == 5
        if name == "home_assistant_plugin.conf":
            # Who stands in the files has the rules of the files.
            assert site.publish(1883, "addons/x", "3", "-r", *addons) == 0
            assert site.publish(1883, "other/x", "no", "-r", *addons) == 0  # and goes nowhere
            assert site.retained(1883, "addons/#", *addons) == ["addons/x 3"]
            assert site.retained(1883, "#", *addons) == []
        assert site.stop() == 0
        site.start()
        of_addons = ["addons/x 3"] if name == "home_assistant_plugin.conf" else []
        assert site.retained(1883, "#", *BOB) == [*of_addons, "t 1", "t/tls 2", "ws/x over"]
        service.shutdown()
