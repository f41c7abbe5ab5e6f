"""What network drivers are given, on real sockets: servers that misbehave, or never answer."""

import asyncio
import gzip
import hashlib
import logging
import re
import socket

import pytest

from hwctl.engine.clock import RealClock, ScaledClock
from hwctl.engine.net import MOST_LINE, MOST_OUTPUT, RealNet
from hwctl.model.drivers import HttpRequest
from hwctl.model.errors import HostError

AMPLE_S = 10.0


def reach(answer, use):
    """What ``use(net)`` gives, where every address leads to a server that runs ``answer``."""

    async def main():
        tasks = set()

        async def handle(reader, writer):
            tasks.add(asyncio.current_task())
            try:
                await answer(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        net = RealNet(RealClock(), lambda _host, _port: address)
        try:
            return await use(net)
        finally:
            net.close()
            server.close()
            await asyncio.gather(*tasks)

    return asyncio.run(main())


def replies(*answers):
    """Says the next of ``answers`` to each request (its head, and 11 bytes of body for POST), on
    one connection each."""
    left = list(answers)

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            await reader.readexactly(11)
        heads.append(head.decode("latin-1"))
        writer.write(left.pop(0))
        await writer.drain()

    heads: list[str] = []
    answer.heads = heads
    return answer


async def silent(reader, writer):
    """Takes everything, and never answers: until the client gives up."""
    while await reader.read(65536):
        pass


def request(**fields):
    return HttpRequest(**{"method": "GET", "host": "plug", "port": 80, "path": "/", **fields})


def fetch(answer, limit_s=AMPLE_S, most=4096, **fields):
    return reach(answer, lambda net: net.http(request(**fields), limit_s=limit_s, most=most))


def ok(body=b"{}", status="200 OK", more=""):
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    return head.encode() + body


# --- http ---


@pytest.mark.parametrize("status", [200, 401, 404, 500, 302])
def test_any_status_is_an_answer_and_no_redirect_is_followed(status):
    answer = replies(ok(b"said", f"{status} X", "Location: http://elsewhere.invalid/\r\n"))
    got = fetch(answer)
    assert (got.status, got.body) == (status, b"said")
    assert got.headers["location"] == "http://elsewhere.invalid/"


def test_what_is_sent():
    answer = replies(ok())
    fetch(answer, method="POST", path="/rpc?a=%20b", body=b"hello world", headers={"X-Y": "z"})
    (head,) = answer.heads
    lines = head.split("\r\n")
    assert lines[0] == "POST /rpc?a=%20b HTTP/1.1"
    low = [line.lower() for line in lines]
    assert {"host: plug:80", "content-length: 11", "x-y: z", "accept-encoding: identity"} <= {*low}
    assert not any(line.startswith("authorization") for line in low)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no whole answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "no whole answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no whole answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "no whole answer"),
        (ok(b"x" * 5000), "more than 4096 bytes"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1_000_000, "more than 4096 bytes"),
    ],
    ids=["nothing", "half", "ssh", "endless header", "too large", "too large, without a length"],
)
def test_nonsense_is_refused_in_words(data, words):
    with pytest.raises(HostError, match=words) as caught:
        fetch(replies(data))
    assert caught.value.where == "plug:80"


def test_what_is_packed_stays_packed():
    """A megabyte of zeros is a kilobyte when packed; unpacked it would pass every limit."""
    packed = gzip.compress(bytes(1_000_000))
    got = fetch(replies(ok(packed, more="Content-Encoding: gzip\r\n")))
    assert got.body == packed


BASIC = 'WWW-Authenticate: Basic realm="x"\r\n'
DIGEST = 'WWW-Authenticate: Digest qop="auth", realm="r", nonce="n", algorithm=SHA-256\r\n'


def test_no_password_for_who_does_not_ask_for_it():
    answer = replies(ok(status="401 Unauthorized"))
    assert fetch(answer, user="admin", password="secret").status == 401
    assert "authorization" not in answer.heads[0].lower()


def test_no_user_no_password_no_second_try():
    answer = replies(ok(status="401 Unauthorized", more=BASIC))
    assert fetch(answer).status == 401


def test_basic_where_it_is_asked_for():
    answer = replies(ok(status="401 U", more=BASIC), ok(b"in"))
    assert fetch(answer, user="Aladdin", password="open sesame").body == b"in"
    # RFC 7617, section 2
    assert "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" in answer.heads[1]


def test_digest_before_basic_in_one_step():
    answer = replies(ok(status="401 U", more=BASIC + DIGEST), ok(b"in"))
    assert fetch(answer, user="u", password="secret", path="/rpc?x=1").body == b"in"
    said = dict(re.findall(r'(\w+)="?([^",\r]*)', answer.heads[1].split("Digest ")[1]))
    assert "secret" not in answer.heads[1]

    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest()

    # RFC 7616, section 3.4.1
    middle = f"n:{said['nc']}:{said['cnonce']}:auth"
    assert said["response"] == digest(f"{digest('u:r:secret')}:{middle}:{digest('GET:/rpc?x=1')}")


@pytest.mark.parametrize(
    "challenge",
    [
        "WWW-Authenticate: Digest\r\n",
        'WWW-Authenticate: Digest realm="r"\r\n',
        'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=ROT13\r\n',
        'WWW-Authenticate: Digest realm="r", nonce="n", qop="nonsense"\r\n',
        "WWW-Authenticate: Negotiate\r\n",
    ],
)
def test_a_challenge_that_nobody_knows_is_no_accident(challenge):
    answer = replies(ok(status="401 U", more=challenge))
    if "Negotiate" in challenge:
        assert fetch(answer, user="u", password="p").status == 401
        return
    with pytest.raises(HostError, match=r"no whole answer|kind of Digest"):
        fetch(answer, user="u", password="p")


def test_a_wrong_password_is_tried_once():
    answer = replies(ok(status="401 U", more=DIGEST), ok(status="401 U", more=DIGEST))
    assert fetch(answer, user="u", password="p").status == 401
    assert len(answer.heads) == 2


@pytest.mark.parametrize("path", ["/x\r\nX-Evil: 1", "/x y"])
def test_a_path_cannot_become_a_header(path):
    answer = replies(ok())
    try:
        fetch(answer, path=path)
    except HostError:
        assert answer.heads == []
    else:
        assert "evil:" not in answer.heads[0].lower().replace("x-evil:%20", "")
        assert len(answer.heads[0].split("\r\n")[0].split(" ")) == 3


def test_no_password_in_any_log(caplog):
    caplog.set_level(logging.DEBUG)
    fetch(replies(ok()), path="/cm?user=admin&password=sesame&cmnd=Power")
    assert "sesame" not in caplog.text


# --- lines ---


def converse(answer, *lines, limit_s=AMPLE_S):
    return reach(answer, lambda net: net.converse("ups", 3493, lines, limit_s=limit_s))


def test_a_line_for_a_line():
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(b"said " + line.strip() + b"\r\n")
            await writer.drain()

    assert converse(echo, "one", "two é", "") == ["said one", "said two é", "said "]


@pytest.mark.parametrize("line", ["a\nb", "a\r", "\n"])
def test_no_line_becomes_two(line):
    async def never(reader, writer):
        raise AssertionError("somebody came")

    with pytest.raises(HostError, match="never sent"):
        converse(never, "fine", line)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "broke off"),
        (b"no end", "broke off"),
        (b"x" * (MOST_LINE * 4), f"more than {MOST_LINE} bytes"),
    ],
)
def test_answers_without_an_end(data, words):
    async def answer(reader, writer):
        await reader.readline()
        writer.write(data)
        await writer.drain()

    with pytest.raises(HostError, match=words) as caught:
        converse(answer, "hello")
    assert caught.value.where == "ups:3493"


def test_bytes_that_are_no_text():
    async def answer(reader, writer):
        await reader.readline()
        writer.write(b"\xff\xfe\n")

    assert converse(answer, "hello") == ["\ufffd\ufffd"]


# --- nobody there, or nobody who answers ---

CALLS = {
    "http": lambda net, s: net.http(request(), limit_s=s, most=100),
    "get": lambda net, s: net.get("plug", 80, "/", limit_s=s, most=100),
    "converse": lambda net, s: net.converse("plug", 80, ["x"], limit_s=s),
}


@pytest.mark.parametrize("call", CALLS)
def test_who_never_answers_meets_the_limit(call):
    with pytest.raises(HostError, match="no answer within") as caught:
        reach(silent, lambda net: CALLS[call](net, 0.05))
    assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.mark.parametrize("call", CALLS)
def test_nobody_there(call):
    async def main():
        with socket.socket() as held:  # bound, never listening: refused
            held.bind(("127.0.0.1", 0))
            address = held.getsockname()
            net = RealNet(RealClock(), lambda _host, _port: address)
            try:
                await CALLS[call](net, AMPLE_S)
            finally:
                net.close()

    with pytest.raises(HostError, match=r"no whole answer|broke off|cannot be reached") as caught:
        asyncio.run(main())
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("call", CALLS)
def test_who_hangs_up_at_once(call):
    async def hang_up(reader, writer):
        writer.transport.abort()

    with pytest.raises(HostError):
        reach(hang_up, lambda net: CALLS[call](net, AMPLE_S))


def test_a_limit_is_in_the_rigs_seconds():
    """At 100 times the speed 0.4 s of the rig are 4 ms; real I/O is allowed half a second more."""
    net = RealNet(ScaledClock(100.0, 0.0, 0.0, 0.0))
    assert net._real(0.4) == pytest.approx((0.4 + 0.5 * 99) / 100)
    assert RealNet(RealClock())._real(0.4) == 0.4


# --- datagrams ---


def test_a_datagram_arrives_whole():
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as card:
            card.bind(("127.0.0.1", 0))
            card.setblocking(False)
            net = RealNet(RealClock())
            await net.datagram("127.0.0.1", card.getsockname()[1], b"\xff" * 102, broadcast=True)
            async with asyncio.timeout(AMPLE_S):
                return await asyncio.get_running_loop().sock_recv(card, 1000)

    assert asyncio.run(main()) == b"\xff" * 102


@pytest.mark.parametrize(
    ("host", "data"), [("no-such-host.invalid", b"x"), ("127.0.0.1", b"x" * 70_000)]
)
def test_a_datagram_that_cannot_be_sent(host, data):
    with pytest.raises(HostError, match=r"cannot send|no answer within") as caught:
        asyncio.run(RealNet(RealClock()).datagram(host, 9, data))
    assert caught.value.where == f"{host}:9"


# --- programs ---


def test_output_is_cut_and_the_program_still_ends():
    async def main():
        argv = ["/usr/bin/head", "-c", "3000000", "/dev/zero"]
        return await RealNet(RealClock()).run(argv, limit_s=AMPLE_S)

    status, output = asyncio.run(main())
    assert status == 0
    assert output == "\0" * MOST_OUTPUT


def test_a_program_has_nothing_to_read():
    async def main():
        return await RealNet(RealClock()).run(["/bin/cat"], limit_s=AMPLE_S)

    assert asyncio.run(main()) == (0, "")


@pytest.mark.parametrize("argv", [["/no/such"], ["/tmp"], ["/bin/true", "a\0b"], ["/etc/passwd"]])
def test_what_cannot_be_started(argv):
    with pytest.raises(HostError, match="cannot be started"):
        asyncio.run(RealNet(RealClock()).run(argv, limit_s=AMPLE_S))


def test_emulated_programs_have_a_limit_too():
    async def never(argv):
        await asyncio.Event().wait()

    net = RealNet(RealClock(), lambda host, port: (host, port), programs=never)
    with pytest.raises(HostError, match="no answer within"):
        asyncio.run(net.run(["/bin/x"], limit_s=0.02))
