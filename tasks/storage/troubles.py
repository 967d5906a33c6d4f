"""Why Redis cannot be used, and the cure: one table for commands, the doctor, /readyz and the console. Pure.

of(error)      Trouble: what is wrong with it, what to do, and whether waiting may help
words(error)   the server's own words, where it said any
line(error)    both in English, for logs: "is full (OOM command not allowed …)"

No text has a URL or a password.
"""

import re
from dataclasses import dataclass

import redis

from tasks.messages import Message
from tasks.storage.connections import ClusterRefused

_LONGEST = 200  # characters of a server's words


@dataclass(frozen=True, slots=True)
class Trouble:
    """`fault`: goes on after the word Redis. `passes`: it may end without a change of REDIS_URL or of the server's
    users: the server is started, has read its file, has room again.
    """

    fault: Message
    cure: Message
    passes: bool = True


def of(error: BaseException) -> Trouble:
    """The first row of the table whose signs are in the error."""
    said = _said(error)
    return next(trouble for signs, trouble in _TABLE if re.search(signs, said))


def words(error: BaseException) -> str:
    """What the server has said, with its code; "" where it has said nothing. Not the arguments that it repeats."""
    for one in _chain(error):
        code = getattr(one, "status_code", None)  # redis-py's, of what a server has answered
        if (code or isinstance(one, redis.ResponseError)) and not isinstance(one, ClusterRefused):
            text = str(one).partition(", with args")[0]
            return (text if code in (None, "ERR") or text.startswith(str(code)) else f"{code} {text}")[:_LONGEST]
    return ""


def line(error: BaseException) -> str:
    """What is wrong, and the server's own words. It goes on after the word Redis."""
    said = words(error)
    return f"{of(error).fault}" + (f" ({said})" if said else "")


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and those that it was made of."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and len(found) < 5:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found


def _said(error: BaseException) -> str:
    """All that tells errors apart: the types' names, the server's codes, the texts."""
    links = _chain(error)
    parts = [error, *(one for one in links[1:] if isinstance(one, OSError | redis.RedisError))]
    return "\n".join(f"{type(one).__name__} {getattr(one, 'status_code', None) or ''} {one}" for one in parts)


_START = Message.of("start it, or correct REDIS_URL")
_OF_ITSELF = Message.of("wait: it goes on by itself")
_SHUT = "-?DENIED|protected mode"

FULL = Trouble(
    Message.of("is full"), Message.of("raise its `maxmemory`, or lower WELCOME_KEEP_DAYS or WELCOME_MEDIA_MB")
)

_TABLE: tuple[tuple[str, Trouble], ...] = (
    # ---- nobody there
    (
        "No master found.*(Authentication|username-password|WRONGPASS|NOAUTH)",
        Trouble(
            Message.of("is not found: the Sentinels refuse this user or password"),
            Message.of("correct sentinel_username and sentinel_password in REDIS_URL"),
            passes=False,
        ),
    ),
    (
        "MasterNotFoundError|SlaveNotFoundError|No master found",
        Trouble(
            Message.of("is not found: no Sentinel that answers knows a master of this name"),
            Message.of("start the Sentinels, or correct their addresses and the master's name in REDIS_URL"),
        ),
    ),
    (
        r"\bConnectionRefusedError",
        Trouble(Message.of("refuses the connection: nothing listens at this address"), _START),
    ),
    (r"\bFileNotFoundError", Trouble(Message.of("has no socket at this path"), _START)),
    (
        r"\bPermissionError",
        Trouble(
            Message.of("has a socket that this user may not open"),
            Message.of("let this user read and write the socket (unixsocketperm), or correct REDIS_URL"),
            passes=False,
        ),
    ),
    (
        "gaierror|UnicodeError",
        Trouble(
            Message.of("has a host name that is not known here"),
            Message.of("correct the host in REDIS_URL, or what this machine asks for names (DNS)"),
        ),
    ),
    # ---- TLS, or something else than Redis
    (
        "[Hh]ostname mismatch|IP address mismatch",
        Trouble(
            Message.of("has a certificate of another name"),
            Message.of("write the name that its certificate has into REDIS_URL"),
            passes=False,
        ),
    ),
    (
        "certificate has expired|certificate is not yet valid",
        Trouble(
            Message.of("has a certificate that is not valid now"),
            Message.of("renew its certificate, or set this machine's clock"),
            passes=False,
        ),
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        Trouble(
            Message.of("has a certificate that is not trusted"),
            Message.of("name the file of its CA: REDIS_URL=rediss://…?ssl_ca_certs=FILE"),
            passes=False,
        ),
    ),
    (
        "CERTIFICATE_REQUIRED|certificate required|HANDSHAKE_FAILURE|handshake failure",
        Trouble(
            Message.of("wants a client's certificate"),
            Message.of("name its files: REDIS_URL=rediss://…?ssl_certfile=FILE&ssl_keyfile=FILE"),
            passes=False,
        ),
    ),
    (
        "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|SSLError|SSLEOFError|SSLZeroReturnError",
        Trouble(
            Message.of("does not speak TLS at this port"),
            Message.of("write redis:// in REDIS_URL, or the port with TLS"),
            passes=False,
        ),
    ),
    (
        r'Protocol error, got "\\x15"',
        Trouble(Message.of("speaks TLS at this port"), Message.of("write rediss:// in REDIS_URL"), passes=False),
    ),
    (
        "InvalidResponse",
        Trouble(
            Message.of("is something else: what answers there is no Redis"),
            Message.of("correct host and port in REDIS_URL"),
            passes=False,
        ),
    ),
    # ---- who may come in
    (
        "ClusterRefused|MOVED|ClusterError|ClusterDownError|CLUSTERDOWN|CROSSSLOT",
        Trouble(
            Message.of("is a Redis Cluster, on which this cannot run"),
            Message.of("use one server, or Sentinel"),
            passes=False,
        ),
    ),
    (
        _SHUT,
        Trouble(
            Message.of("is in protected mode: it lets in nobody from another machine"),
            Message.of("give it a password (requirepass) and put that into REDIS_URL, or run it on this machine"),
            passes=False,
        ),
    ),
    (
        "NOAUTH|Authentication required",
        Trouble(
            Message.of("asks for a password, and REDIS_URL has none"),
            Message.of("put it into REDIS_URL: redis://:PASSWORD@HOST or redis://USER:PASSWORD@HOST"),
            passes=False,
        ),
    ),
    (
        "without any password configured",
        Trouble(
            Message.of("has no password, and REDIS_URL has one"),
            Message.of("leave the password out of REDIS_URL, or give Redis one (requirepass)"),
            passes=False,
        ),
    ),
    (
        "WRONGPASS|invalid username-password|invalid password|AuthenticationError",
        Trouble(
            Message.of("refuses this user or password"),
            Message.of("correct them in REDIS_URL; what has a meaning in a URL is %XX, such as %40 for @"),
            passes=False,
        ),
    ),
    (
        "NOPERM|NoPermissionError|has no permissions",
        Trouble(
            Message.of("does not let this user do what is needed"),
            Message.of("give it the right: ACL SETUSER NAME ~* &* +@all, or name another user in REDIS_URL"),
            passes=False,
        ),
    ),
    (
        "DB index is out of range|invalid DB index",
        Trouble(
            Message.of("has no database of this number"),
            Message.of("correct the number at the end of REDIS_URL; 0 is always there"),
            passes=False,
        ),
    ),
    (
        "unknown command|Unknown Redis command|unknown subcommand|UNKNOWN COMMAND",
        Trouble(
            Message.of("does not know a command that is needed: it is too old, or its provider has taken it away"),
            Message.of("use Redis 7 or newer, or Valkey"),
            passes=False,
        ),
    ),
    # ---- what passes
    ("LOADING|loading the dataset", Trouble(Message.of("is still reading its file"), _OF_ITSELF)),
    (
        "MASTERDOWN|Link with MASTER is down",
        Trouble(
            Message.of("is a replica whose primary is away"),
            Message.of("bring the primary back, or let REDIS_URL lead to it"),
        ),
    ),
    (
        "ReadOnlyError|READONLY|read only replica",
        Trouble(
            Message.of("is a replica, which takes no writes"),
            Message.of("let REDIS_URL lead to the primary, or to Sentinels, which know it"),
        ),
    ),
    (
        "NOREPLICAS",
        Trouble(
            Message.of("takes no write: too few of its replicas answer"),
            Message.of("bring its replicas back, or lower min-replicas-to-write"),
        ),
    ),
    (
        "CannotPersist|MISCONF",
        Trouble(
            Message.of("cannot write to its disk"),
            Message.of("make room on its disk, or mend it: it goes on by itself. Its log says what is wrong"),
        ),
    ),
    ("OutOfMemoryError|OOM|used memory > 'maxmemory'", FULL),
    (
        "max number of clients",
        Trouble(
            Message.of("has as many connections as it allows"),
            Message.of("raise its `maxclients`, and the number of files that it may open; or end what else uses it"),
        ),
    ),
    ("BUSY |busy running a script", Trouble(Message.of("is busy with a script"), _OF_ITSELF)),
    (
        "TimeoutError|timed out|MaxConnectionsError",
        Trouble(
            Message.of("does not answer in time"),
            Message.of("look whether it hangs or is overloaded, and whether a firewall drops what is sent to it"),
        ),
    ),
    (
        "ConnectionResetError|BrokenPipeError|Connection closed by server|closed the connection",
        Trouble(
            Message.of("closes the connection"),
            Message.of("see its log: is it ending, does it want TLS (rediss://), is it in protected mode?"),
        ),
    ),
    ("No route to host|[Uu]nreachable|OSError", Trouble(Message.of("cannot be reached from here"), _START)),
    ("ConnectionError", Trouble(Message.of("does not answer"), _START)),
    ("", Trouble(Message.of("answers with an error"), Message.of("see its log"))),
)
