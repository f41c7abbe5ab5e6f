"""PoE ports, behind net-snmp's own agent: SNMPv2c and SNMPv3."""

import asyncio
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from random import Random

import pytest
from pydantic import ValidationError

from hwctl.engine.clock import RealClock
from hwctl.engine.net import RealNet
from hwctl.model.drivers import SnmpAgent
from hwctl.model.errors import DeviceDataError, DeviceError, HostError
from hwctl.model.wiring import DeviceEntry
from hwctl_drivers.snmp_poe import DRIVER, SnmpPoeOptions
from hwctl_emulated import snmp_poe as emulated
from hwctl_emulated.part import Site

SNMPD = shutil.which("snmpd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
needs_snmpd = pytest.mark.skipif(SNMPD is None, reason="no snmpd: apt-get install snmpd")

PASS_PERSIST = """
import sys
sys.path[:0] = {path!r}
from hwctl_emulated.snmp_poe import SnmpPoe
part = SnmpPoe()
for line in iter(sys.stdin.readline, ""):
    verb = line.strip()
    if verb == "PING":
        print("PONG")
    elif verb in ("get", "getnext"):
        oid = sys.stdin.readline().strip()
        value = part.get(oid) if verb == "get" else None
        print("NONE" if value is None else f"{{oid}}\\ninteger\\n{{value}}")
    elif verb == "set":
        oid = sys.stdin.readline().strip()
        _, value = sys.stdin.readline().split()
        print("DONE" if part.set(oid, int(value)) else "not-writable")
    sys.stdout.flush()
"""
"""man snmpd.conf, "pass_persist". Only the table is ours; the protocol is net-snmp's."""

CONF = """
agentAddress udp:127.0.0.1:{port}
rocommunity readonly 127.0.0.1
rwcommunity private 127.0.0.1
createUser poe SHA "auth-secret" AES "priv-secret"
rwuser poe priv
createUser half SHA "auth-secret"
rwuser half auth
pass_persist .1.3.6.1.2.1.105 {python} {script}
"""


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(folder, port):
    """An snmpd at that port; what it must remember stands in the folder."""
    script, conf = folder / "table.py", folder / "snmpd.conf"
    script.write_text(PASS_PERSIST.format(path=sys.path))
    conf.write_text(CONF.format(port=port, python=sys.executable, script=script))
    environment = {
        "SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": "", "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    with subprocess.Popen(
        [SNMPD, "-f", "-Lo", "-C", "-c", str(conf)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            for line in process.stdout:
                if "NET-SNMP version" in line:
                    break
            else:
                pytest.fail("snmpd ended")
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """The port of a running snmpd."""
    port = free_port()
    with running(tmp_path_factory.mktemp("snmpd"), port):
        yield port


def use_agent(port, use, **options):
    async def main():
        net = RealNet(RealClock())
        try:
            chosen = {"host": "127.0.0.1", "port": port, "limit_s": 5.0, **options}
            return await use(DRIVER.open(net, SnmpPoeOptions(**chosen)))
        finally:
            net.close()

    return asyncio.run(main())


V3 = {"user": "poe", "auth_key": "auth-secret", "priv_key": "priv-secret"}


@needs_snmpd
@pytest.mark.parametrize(
    ("port_number", "options"),
    [(1, {}), (2, V3), (3, {"user": "half", "auth_key": "auth-secret"})],
    ids=["v2c", "v3 authPriv", "v3 authNoPriv"],
)
def test_switched_and_read_back_by_net_snmp(agent, port_number, options):
    async def use(device):
        seen = [await device.get(port_number)]
        for on in (True, True, False):
            await device.set(port_number, on)
            seen.append(await device.get(port_number))
        return seen

    assert use_agent(agent, use, **options) == [False, True, True, False]


@needs_snmpd
@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"community": "readonly"}, "noAccess", "write"),
        ({"group": 2}, "notWritable|noCreation", "write|snmpwalk"),
        ({**V3, "auth_key": "another-one"}, "does not let us in", "auth_key"),
        ({**V3, "user": "nobody"}, "does not let us in", "auth_key"),
        ({"user": "poe"}, "authorizationError|does not let us in", "auth_key|community"),
    ],
)
def test_net_snmp_refuses(agent, options, words, hint):
    async def use(device):
        with pytest.raises(HostError, match=words) as caught:
            await device.set(4, on=True)
        assert any(word in caught.value.hint for word in hint.split("|"))

    use_agent(agent, use, **options)
    assert use_agent(agent, lambda device: device.get(4)) is False


@needs_snmpd
@pytest.mark.parametrize("options", [{"community": "wrong"}, {**V3, "priv_key": "another-one"}])
def test_net_snmp_answers_a_wrong_secret_by_silence(agent, options):
    async def use(device):
        with pytest.raises(HostError, match="no answer within") as caught:
            await device.get(4)
        return caught.value.hint

    assert "wrong community or key" in use_agent(agent, use, limit_s=0.2, **options)


@needs_snmpd
def test_what_net_snmp_has_not(agent):
    async def use(device):
        with pytest.raises(HostError, match="has no object"):
            await device.get(1)

    use_agent(agent, use, group=7)


@needs_snmpd
def test_one_user_with_two_passwords_at_two_switches(agent):
    """pysnmp keeps keys by the user's name: each agent has an engine of its own."""

    async def main():
        net = RealNet(RealClock(), lambda _host, _port: ("127.0.0.1", agent))
        right = SnmpAgent("one", 161, user="poe", auth_key="auth-secret", priv_key="priv-secret")
        wrong = SnmpAgent("two", 161, user="poe", auth_key="other-secret", priv_key="priv-secret")
        oid = "1.3.6.1.2.1.105.1.1.1.3.1.9"

        async def ask(who):
            try:
                return await net.snmp_get(who, oid, limit_s=5.0)
            except HostError as error:
                return error.what

        got = await asyncio.gather(*(ask(who) for who in (right, wrong, right, wrong, right)))
        net.close()
        return got

    got = asyncio.run(main())
    assert got[::2] == [2, 2, 2]
    assert all("does not let us in" in one for one in got[1::2])


@needs_snmpd
@pytest.mark.parametrize("asked_meanwhile", [True, False])
@pytest.mark.parametrize("options", [{}, V3], ids=["v2c", "v3"])
def test_a_switch_that_restarted_answers_again(tmp_path, options, asked_meanwhile):
    """Its SNMPv3 clock has begun anew; whoever goes on with the old one gets no answer."""
    port = free_port()

    async def ask(device):
        try:
            return await device.get(1)
        except HostError:
            return None

    async def main():
        net = RealNet(RealClock())
        chosen = {"host": "127.0.0.1", "port": port, "limit_s": 1.0, **options}
        device = DRIVER.open(net, SnmpPoeOptions(**chosen))
        with running(tmp_path, port):
            before = await ask(device)
        if asked_meanwhile:
            assert await ask(device) is None
        with running(tmp_path, port):
            after = [await ask(device) for _ in range(2)]
        net.close()
        return before, after[-1]

    assert asyncio.run(main()) == (False, False)


# --- what is asked, on a scripted network ---


class Objects:
    """INTEGER objects of a switch."""

    def __init__(self, part):
        self.part = part
        self.asked = []

    async def snmp_get(self, agent, oid, *, limit_s):
        self.asked.append(("get", oid))
        value = self.part.get(oid)
        if value is None:
            raise HostError("has no object")
        return value

    async def snmp_set(self, agent, oid, value, *, limit_s):
        self.asked.append(("set", oid, value))
        if not self.part.set(oid, value):
            raise HostError("refused")


def made(**options):
    entry = DeviceEntry(driver="snmp_poe", **options)
    return emulated.make(Site("switch", entry, lambda: 0.0, Random(1)))


def test_the_objects_of_rfc_3621():
    net = Objects(made(group=2))
    device = DRIVER.open(net, SnmpPoeOptions(host="switch", group=2, detection=True))
    asyncio.run(device.set(17, on=True))
    assert asyncio.run(device.get(17)) is True
    asyncio.run(device.set(17, on=False))
    assert net.asked == [
        ("set", "1.3.6.1.2.1.105.1.1.1.3.2.17", 1),
        ("get", "1.3.6.1.2.1.105.1.1.1.3.2.17"),
        ("get", "1.3.6.1.2.1.105.1.1.1.6.2.17"),
        ("set", "1.3.6.1.2.1.105.1.1.1.3.2.17", 2),
    ]
    assert not net.part.relay(17)


def test_a_port_with_a_fault_gives_no_power_and_is_not_called_on():
    part = made()
    device = DRIVER.open(Objects(part), SnmpPoeOptions(host="switch", detection=True))
    asyncio.run(device.set(3, on=True))
    part.faults.add(3)
    with pytest.raises(DeviceError, match="gives no power: a fault"):
        asyncio.run(device.get(3))
    assert not part.relay(3)


@pytest.mark.parametrize("value", [0, 3, -1, 2**31 - 1])
def test_a_truth_value_is_1_or_2(value):
    class Odd:
        def get(self, oid):
            return value

    device = DRIVER.open(Objects(Odd()), SnmpPoeOptions(host="switch"))
    with pytest.raises(DeviceDataError, match="neither true"):
        asyncio.run(device.get(1))


def test_what_was_set_outlives_the_switch():
    part = made()
    assert part.set("1.3.6.1.2.1.105.1.1.1.3.1.5", 1)
    part.power_on()
    assert part.relay(5)


@pytest.mark.parametrize(
    "oid", ["1.3.6.1.2.1.105.1.1.1.3.1.0", "1.3.6.1.2.1.105.1.1.1.3.1", "1.3.6.1.2.1.1.1.0"]
)
def test_the_emulated_table_has_nothing_else(oid):
    assert made().get(oid) is None
    assert not made().set(oid, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"priv_key": "12345678"},
        {"auth_key": "12345678"},
        {"user": "poe", "auth_key": "short"},
        {"user": "poe", "priv_key": "12345678"},
        {"host": "a b"},
        {"community": ""},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(ValidationError):
        SnmpPoeOptions(**{"host": "switch", **options})
