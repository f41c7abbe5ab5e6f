"""A PoE switch: its table of power sourcing ports, as its SNMP agent shows it.

Source: RFC 3621, pethPsePortTable (the numbers of the detection states: unverified).
"""

from hwctl_emulated.part import Site

TABLE = (1, 3, 6, 1, 2, 1, 105, 1, 1, 1)
ADMIN_ENABLE, DETECTION_STATUS = 3, 6
TRUE, FALSE = 1, 2
DISABLED, DELIVERING, FAULT = 1, 3, 4
PORTS = 1024


class SnmpPoe:
    """One group. Its settings outlive an outage, as RFC 3621 has it."""

    def __init__(self, group: int = 1) -> None:
        self._group = group
        self._enabled = [False] * PORTS
        self.faults: set[int] = set()
        """Ports with a short."""

    def relay(self, channel: int) -> bool:
        return self._enabled[channel - 1] and channel not in self.faults

    def power_on(self) -> None:
        """What was set is persistent."""

    def get(self, oid: str) -> int | None:
        column, port = self._find(oid)
        if column == ADMIN_ENABLE:
            return TRUE if self._enabled[port - 1] else FALSE
        if column == DETECTION_STATUS:
            if not self._enabled[port - 1]:
                return DISABLED
            return FAULT if port in self.faults else DELIVERING
        return None

    def set(self, oid: str, value: int) -> bool:
        column, port = self._find(oid)
        if column != ADMIN_ENABLE or value not in (TRUE, FALSE):
            return False
        self._enabled[port - 1] = value == TRUE
        return True

    def _find(self, oid: str) -> tuple[int, int]:
        """Column and port; zeros if it is no object of the table."""
        numbers = tuple(int(part) for part in oid.strip(".").split("."))
        if len(numbers) != len(TABLE) + 3 or numbers[: len(TABLE)] != TABLE:
            return 0, 0
        column, group, port = numbers[len(TABLE) :]
        return (column, port) if group == self._group and 1 <= port <= PORTS else (0, 0)


def make(site: Site) -> SnmpPoe:
    return SnmpPoe(int(site.number("group", 1)))
