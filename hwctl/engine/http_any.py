"""Any HTTP request, through httpx: for smart plugs, whose answers are small and connections short.

The nodes' pages go through :mod:`hwctl.engine.http_client`, which is a tenth of the work.
"""

import logging

import httpx

from hwctl.model.drivers import HttpAnswer, HttpRequest
from hwctl.model.errors import HostError

# At INFO it logs each URL, and some plugs want their password in it.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


async def send(request: HttpRequest, address: tuple[str, int], most: int) -> HttpAnswer:
    """The password is sent only to a device that asks for it, Digest before Basic.

    :param address: where it really goes.
    :raises HostError: no whole answer of at most ``most`` bytes, or a challenge that nobody knows.
    """
    where = f"{request.host}:{request.port}"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}{request.path}"
    # Nothing packed: a small answer could be unpacked to a huge one.
    headers = {"Host": where, "Accept-Encoding": "identity", **request.headers}
    try:
        # The engine's own limit ends it; proxies of the environment are not for plugs. It speaks
        # no TLS, and reading the certificates for it would cost more than all the rest.
        async with httpx.AsyncClient(timeout=None, trust_env=False, verify=False) as client:  # noqa: S113, S501
            wanted = client.build_request(
                request.method, url, content=request.body or None, headers=headers
            )
            answer = await client.send(wanted, stream=True)
            body = await _body(answer, most, where)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                signed = _signed(wanted, answer, request, where)
                if signed is not None:
                    answer = await client.send(signed, stream=True)
                    body = await _body(answer, most, where)
            return HttpAnswer(answer.status_code, body, dict(answer.headers))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        failure = HostError(
            f"no whole answer: {str(error) or type(error).__name__}",
            where=where,
            hint="is it on, and is this its address?",
        )
        failure.undelivered = isinstance(error, httpx.ConnectError | httpx.InvalidURL)
        raise failure from error


async def _body(answer: httpx.Response, most: int, where: str) -> bytes:
    body = b""
    try:
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > most:
                raise HostError(
                    f"sent more than {most} bytes", where=where, hint="is it that device?"
                )
    finally:
        await answer.aclose()
    return body


def _signed(
    wanted: httpx.Request, answer: httpx.Response, request: HttpRequest, where: str
) -> httpx.Request | None:
    """The request once more, with what the device asks for; ``None``: nothing that we have."""
    if request.user is None:
        return None
    user, password = request.user, request.password or ""
    offers = answer.headers.get_list("www-authenticate")
    schemes = [offer.partition(" ")[0].lower() for offer in offers]
    if "digest" in schemes:
        flow = httpx.DigestAuth(user, password).auth_flow(wanted)
        next(flow)
        try:
            return flow.send(answer)
        except (KeyError, StopIteration) as error:
            raise HostError(
                f"wants a kind of Digest that is not known: {str(error) or 'an empty one'}",
                where=where,
                hint="update its firmware, or switch its password off",
            ) from error
    if "basic" in schemes:
        return next(httpx.BasicAuth(user, password).auth_flow(wanted))
    return None
