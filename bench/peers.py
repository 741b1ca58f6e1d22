"""Other brokers that may be on this machine: what they are started with, when they are there.

Each is told the like of :data:`bench.brokers.CONFIGURATION` in its own form: one listener at
127.0.0.1, anybody may come in, nothing is kept on a disk, queues that no row fills. Rows that ask
for more lines of configuration in Mosquitto's form (TLS, WebSockets) leave these brokers out.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from bench.brokers import Broker, first_line

#: One thread: CPU per message is what is compared, and Mosquitto and midge have one.
FLASHMQ: Final = """\
listen {
  protocol mqtt
  port {port}
  inet4_bind_address 127.0.0.1
  inet_protocol ip4
}
allow_anonymous true
thread_count 1
max_qos_msg_pending_per_client 65535
max_qos_bytes_pending_per_client 1000000000
storage_dir {directory}
log_file {directory}/flashmq.log
"""

NANOMQ: Final = """\
listeners.tcp {
  bind = "127.0.0.1:{port}"
}
mqtt {
  max_packet_size = 10MB
  max_mqueue_len = 65535
  keepalive_multiplier = 1.5
}
auth {
  allow_anonymous = true
}
"""

AMQTT: Final = """\
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
    max_connections: 0
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""

#: Name, program, its words after the program, its words for the version, its configuration.
KNOWN: Final = (
    ("flashmq", "flashmq", "--config-file {config}", "--version", FLASHMQ),
    ("nanomq", "nanomq", "start --conf {config}", "--version", NANOMQ),
    ("amqtt", "amqtt", "-c {config}", "--version", AMQTT),
)


def peers() -> list[Broker]:
    """Those that are found in ``PATH``, or beside this Python."""
    found = []
    for name, program, words, version, configuration in KNOWN:
        beside = Path(sys.executable).parent / program
        path = str(beside) if beside.exists() else shutil.which(program)
        if path is not None:
            command = f"{shlex.quote(path)} {words}"
            said = first_line([path, version])
            found.append(Broker(name, command, said, configuration=configuration))
    return found
