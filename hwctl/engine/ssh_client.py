"""One command on one node by ssh (asyncssh). Host keys are always checked, keys never guessed."""

from pathlib import Path

import asyncssh

from hwctl.model.drivers import SshLogin
from hwctl.model.errors import HostError

MOST_OUTPUT = 4000


async def run(
    host: str, port: int, login: SshLogin, key: Path, known_hosts: Path, command: str
) -> tuple[int | None, str]:
    """Log in at ``host:port`` as the node ``login`` names, and run ``command``.

    ``command`` comes from the configuration and is passed as it stands; nothing from outside is
    ever put into it.
    """
    where = f"{login.user}@{login.address}"
    connected = False
    try:
        async with asyncssh.connect(
            host,
            port,
            username=login.user,
            client_keys=[str(key)],
            known_hosts=str(known_hosts),
            host_key_alias=login.address,
            agent_path=None,
            config=None,
            login_timeout="30s",
        ) as connection:
            connected = True
            result = await connection.run(command, check=False)
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise HostError(
            f"its host key is not the known one: {error.reason}",
            where=where,
            hint=f"if it was reinstalled: ssh-keygen -R {login.address} -f {known_hosts}, then "
            f"ssh-keyscan {login.address} >> {known_hosts}",
        ) from error
    except asyncssh.PermissionDenied as error:
        raise HostError(
            f"refuses the login: {error.reason}",
            where=where,
            hint=f"put {key}.pub into its authorized_keys",
        ) from error
    except (OSError, asyncssh.Error, asyncssh.KeyImportError) as error:
        if connected and isinstance(error, asyncssh.DisconnectError | ConnectionError):
            # A node that halts at once may not live to say so.
            return None, str(error)
        raise HostError(f"cannot be reached by ssh: {error}", where=where) from error
    said = [part for part in (result.stdout, result.stderr) if isinstance(part, str)]
    return result.exit_status, "".join(said)[:MOST_OUTPUT]
