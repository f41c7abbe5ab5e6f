"""The nodes of a world in its own process, over real sockets: HTTP and ssh.

At many times life a boot takes a fraction of a second; what must come is waited for until a
generous limit, never for a fixed time.
"""

import asyncio
import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from gpiozero import OutputDevice
from prometheus_client.parser import text_string_to_metric_families

from hwctl_emulated.client import WorldClient

LIMIT_S = 30.0
STATUS = {"op": "status"}
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


def _try(what: Callable[[], Any]) -> Any:
    try:
        return what()
    except (OSError, asyncssh.Error):
        return None


@pytest.fixture
def world(begin) -> WorldClient:
    return begin()


def node(world: WorldClient, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.control(STATUS)["nodes"][name]
    return found


def get(world: WorldClient, path: str = "/metrics", limit_s: float = LIMIT_S) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*world.address("10.42.0.11", 9100), timeout=limit_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def refused(world: WorldClient) -> bool:
    try:
        get(world, limit_s=1.0)
    except ConnectionRefusedError:
        return True
    except (OSError, http.client.HTTPException):
        return False  # it had been accepted just before the board went: silence, or a break
    return False


def ssh(world: WorldClient, line: str, host: str = "10.42.0.11") -> tuple[int | None, str]:
    """As hwctl does it: the near address, the world's files, the configured name as alias."""

    async def run() -> tuple[int | None, str]:
        near, port = world.address(host, 22)
        async with asyncssh.connect(
            near,
            port,
            username="hwctl",
            client_keys=[str(world.file(Path("keys/id_hwctl")))],
            known_hosts=str(world.file(Path("known_hosts"))),
            host_key_alias=host,
            agent_path=None,
            config=None,
        ) as connection:
            done = await connection.run(line)
            return done.exit_status, str(done.stdout)

    return asyncio.run(run())


def test_a_page_over_a_real_socket_on_a_kept_connection(world):
    connection = http.client.HTTPConnection(*world.address("10.42.0.11", 9100), timeout=LIMIT_S)
    pages = []
    for _ in range(3):
        connection.request("GET", "/metrics?collect[]=cpu")
        answer = connection.getresponse()
        assert answer.getheader("Transfer-Encoding") == "chunked"
        assert answer.getheader("Content-Type", "").startswith("text/plain; version=0.0.4")
        pages.append(answer.read().decode())
    connection.close()
    for page in pages:
        names = {family.name for family in text_string_to_metric_families(page)}
        assert "node_cpu_seconds" in names
    assert get(world, "/nowhere")[0] == 404


def test_exporter_faults_over_a_real_socket(world, eventually):
    def fault(name: str, on: bool = True) -> None:
        world.control({"op": "node", "node": "pi1", "fault": name, "on": on})

    fault("exporter-busy")
    assert get(world)[0] == 503
    fault("exporter-busy", on=False)
    fault("exporter-truncated")
    with pytest.raises(http.client.IncompleteRead):
        get(world)
    fault("exporter-truncated", on=False)
    fault("exporter-huge")
    assert len(get(world)[1]) > 10_000_000
    fault("exporter-huge", on=False)
    fault("exporter-dead")
    assert eventually(lambda: refused(world))
    assert ssh(world, "cat /proc/sys/kernel/random/boot_id")[0] == 0
    fault("exporter-dead", on=False)
    assert eventually(lambda: _try(lambda: get(world)))


def test_an_endless_page_does_not_stop_the_rest(world):
    world.control({"op": "node", "node": "pi1", "fault": "exporter-endless", "on": True})
    connection = http.client.HTTPConnection(*world.address("10.42.0.11", 9100), timeout=LIMIT_S)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert len(answer.read(3_000_000)) == 3_000_000
    near = http.client.HTTPConnection(*world.address("10.42.0.12", 9100), timeout=LIMIT_S)
    near.request("GET", "/metrics")
    assert b"node_load1" in near.getresponse().read()
    near.close()
    connection.close()


def test_ssh_halts_a_node_and_its_ports_close(world, eventually):
    status, boot_id = ssh(world, "cat /proc/sys/kernel/random/boot_id")
    assert (status, boot_id.strip()) == (0, node(world, "pi1")["boot_id"])
    assert ssh(world, "rm -rf /")[0] == 127
    assert ssh(world, "sudo systemctl poweroff")[0] == 0
    eventually(lambda: node(world, "pi1")["state"] == "halted")
    assert eventually(lambda: refused(world))
    with pytest.raises(OSError, match=r"Connect|refused|reset|lost"):
        ssh(world, "true")
    relay = OutputDevice("J8:29", active_high=False, pin_factory=world.gpio("gpio"))
    assert node(world, "pi1")["dirty"] == 0
    relay.on()
    eventually(lambda: node(world, "pi1")["state"] == "up")
    status, other_id = eventually(lambda: _try(lambda: ssh(world, BOOT_ID)))
    assert (status, other_id != boot_id) == (0, True)
    assert eventually(lambda: _try(lambda: get(world)))


def test_ssh_reboots(world, eventually):
    before = node(world, "pi1")["boot_id"]
    assert ssh(world, "sudo systemctl reboot")[0] == 0
    eventually(lambda: node(world, "pi1")["boots"] == 2)
    assert node(world, "pi1")["boot_id"] != before


def test_a_host_key_belongs_to_one_node(world):
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        asyncio.run(_with_alias_of_another(world))


async def _with_alias_of_another(world: WorldClient) -> None:
    near, port = world.address("10.42.0.11", 22)
    await asyncssh.connect(
        near,
        port,
        client_keys=[str(world.file(Path("id_x")))],
        known_hosts=str(world.file(Path("known_hosts"))),
        host_key_alias="10.42.0.12",
        agent_path=None,
        config=None,
    )


def test_another_key_may_not_log_in(world):
    world.file(Path("known_hosts"))  # there as soon as the ssh servers are

    async def run() -> None:
        near, port = world.address("10.42.0.11", 22)
        await asyncssh.connect(
            near,
            port,
            client_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            known_hosts=None,
            agent_path=None,
            config=None,
        )

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(run())


def test_addresses_and_files_that_are_not_the_rig_s_stay_as_they_are(world):
    assert world.address("10.42.0.11", 80) == ("10.42.0.11", 80)
    assert world.address("10.42.0.11", 9100)[0] == "127.0.0.1"
    assert world.address("10.42.0.11", 9100) != world.address("10.42.0.12", 9100)
    assert world.file(Path("/etc/hwctl/other")) == Path("/etc/hwctl/other")
    assert world.file(Path("/home/me/.ssh/id_ed25519")).stat().st_mode & 0o077 == 0


def test_a_cut_board_s_connection_falls_silent_and_breaks_when_it_has_booted(world, eventually):
    connection = http.client.HTTPConnection(*world.address("10.42.0.11", 9100), timeout=LIMIT_S)
    connection.request("GET", "/metrics")
    connection.getresponse().read()
    relay = OutputDevice(
        "J8:29", active_high=False, initial_value=None, pin_factory=world.gpio("gpio")
    )
    relay.off()
    assert eventually(lambda: refused(world))
    connection.request("GET", "/metrics")  # goes out; nothing comes back
    connection.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.sock.recv(1)
    relay.on()
    eventually(lambda: node(world, "pi1")["state"] == "up")
    connection.sock.settimeout(LIMIT_S)
    with pytest.raises(ConnectionResetError):
        connection.sock.recv(1)
    connection.close()
