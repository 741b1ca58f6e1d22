"""The normative statements of MQTT 5.0 and 3.1.1, as tables."""

from __future__ import annotations

from tests.conformance.statements.statement import BOTH, CLIENT, SERVER, Statement
from tests.conformance.statements.v5_behaviour import V5_BEHAVIOUR
from tests.conformance.statements.v5_connect import V5_CONNECT
from tests.conformance.statements.v5_packets import V5_PACKETS
from tests.conformance.statements.v311 import V311

__all__ = ["ALL", "BOTH", "BY_ID", "CLIENT", "SERVER", "V5", "V311", "Statement"]

#: MQTT 5.0, in the order of its appendix B.
V5: tuple[Statement, ...] = V5_CONNECT + V5_PACKETS + V5_BEHAVIOUR
#: Both standards.
ALL: tuple[Statement, ...] = V5 + V311
#: By identifier, as the ``spec`` marker names them.
BY_ID: dict[str, Statement] = {statement.id: statement for statement in ALL}
