"""Relays and ports on I2C. Those that the kernel knows are judged by test_lab_expanders.py."""

from lab_oracle import NotJudged

from hwctl_drivers import clusterctrl, mcp230xx, pcf8574, seeed_relay, sequent_relay

NOT_JUDGED = (
    NotJudged(
        "Seeed 4-channel relay",
        seeed_relay.DRIVER,
        "seeed-relay",
        "a microcontroller with commands of its own, which no kernel driver speaks",
    ),
    NotJudged(
        "ClusterCTRL",
        clusterctrl.DRIVER,
        "clusterctrl",
        "a microcontroller with commands of its own; the kernel knows only the adapter that it is "
        "as well",
    ),
)

ELSEWHERE = dict.fromkeys(
    (
        driver.DRIVER.name
        for driver in (pcf8574, mcp230xx, sequent_relay, clusterctrl)  # the last as a ClusterHAT
    ),
    "test_lab_expanders.py",
)
"""Drivers that a test of their own compares with the kernel's."""
