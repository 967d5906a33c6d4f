"""REDIS_URL, read once into its parts. Pure. Our own client and Celery's are both built from the parts, never the text.

    redis://[[user]:password@]host[:6379][/db][?option=…]        rediss://…  the same with TLS
    unix://[[user]:password@]/path/of/socket[?db=…]
    sentinel://[[user]:password@]host:26379,host:26379/master[/db][?option=…]

Whatever has a meaning in a URL is percent-encoded: %23 for #, %2F for / in a password. What cannot be honoured by
both clients is refused.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlsplit

PORT = 6379
SOCKET_PATH_LIMIT = 107  # bytes of a unix socket's path; the kernel takes no more
_SCHEMES = ("redis", "rediss", "unix", "sentinel")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")  # as redis-py names them
_OPTIONS = ("db", "username", "password")
_SENTINELS = ("sentinel_username", "sentinel_password", "ssl")
_OURS = ("socket_timeout", "socket_connect_timeout", "retry_on_timeout", "health_check_interval", "max_connections")


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates are always verified: against `ca_certs`, or else against those that the system trusts."""

    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. `path`: of a unix socket; otherwise `hosts`: the server, or the Sentinels that know `master`."""

    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    master: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Tls | None = None

    def __str__(self) -> str:
        """Without user and password."""
        scheme = "sentinel" if self.master else "unix" if self.path else "rediss" if self.tls else "redis"
        where = ",".join(_place(*each) for each in self.hosts)
        tail = f"{self.master}/{self.db}" if self.master else str(self.db)
        return f"unix://{self.path}?db={self.db}" if self.path else f"{scheme}://{where}/{tail}"

    def kombu_url(self) -> str:
        """As kombu writes it, with user and password; of several Sentinels the first, without the master's name."""
        secret = f"{quote(self.username or '', '')}:{quote(self.password, '')}@" if self.password is not None else ""
        if self.path is not None:
            return f"redis+socket://{secret}{self.path}?virtual_host={self.db}"
        scheme = "sentinel" if self.master else "rediss" if self.tls else "redis"
        return f"{scheme}://{secret}{_place(*self.hosts[0])}/{self.db}"


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read(url: str) -> RedisAddress:
    """The parts of a REDIS_URL. ValueError says what it should look like, and never quotes it: it holds a password."""
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES or "://" not in url:
        if scheme in ("redis+cluster", "rediss+cluster", "redis-cluster", "cluster"):
            raise ValueError("names a Redis Cluster, on which this cannot run; use one server, or Sentinel")
        raise ValueError("must start with redis:// or rediss:// or unix:// or sentinel://, and name a host")
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("has a blank or a line end in it; write %20 for a blank that belongs there")
    if "#" in url:
        raise ValueError("has a # in it; write %23 for one that belongs to the password or the path")
    return _sentinel(url) if scheme == "sentinel" else _server(url, scheme)


def _server(url: str, scheme: str) -> RedisAddress:
    try:
        parts = urlsplit(url)
        port = PORT if parts.port is None else parts.port
        host = unquote(parts.hostname or "")
    except ValueError:  # its message quotes the URL
        raise ValueError("must be a URL with a port from 1 to 65535; / ? # @ : in a password are %XX") from None
    options = _query(parts.query, (*_OPTIONS, *(_FILES if scheme == "rediss" else ()), "virtual_host"), scheme)
    username, password = _credentials(parts.username, parts.password, options)
    if scheme == "unix":
        path = os.fsdecode(unquote_to_bytes(parts.path)).rstrip("/")
        if host or not path.startswith("/"):
            raise ValueError("must start with unix:/// and go on with the path of the socket")
        if len(os.fsencode(path)) > SOCKET_PATH_LIMIT or "\0" in path:
            raise ValueError(f"names a socket whose path is longer than {SOCKET_PATH_LIMIT} bytes")
        return RedisAddress(path=path, db=_db("", options), username=username, password=password)
    if not host:
        raise ValueError("must start with redis:// or rediss:// or unix:// or sentinel://, and name a host")
    return RedisAddress(
        hosts=(_host(host, port),),
        db=_db(parts.path, options),
        username=username,
        password=password,
        tls=_tls(options) if scheme == "rediss" else None,
    )


def _sentinel(url: str) -> RedisAddress:
    """Several hosts: no URL that a library could read."""
    rest, _, query = url.removeprefix("sentinel://").partition("?")
    secret, _, rest = rest.rpartition("@")
    listed, *path = rest.rstrip("/").split("/")
    hosts = re.findall(r"(?:^|,)(\[[0-9a-fA-F:.%]+\]|[^/@:,\[\]]+):([0-9]{1,5})(?=,|$)", listed)
    if not path or len(path) > 2 or not path[0] or len(hosts) != listed.count(",") + 1 or "?" in query:
        raise ValueError("must look like sentinel://[:password@]host1:26379,host2:26379/master/0")
    options = _query(query, (*_OPTIONS, *_SENTINELS, *_FILES), "sentinel")
    user, _, password = secret.partition(":")
    username, password_ = _credentials(user, password, options)
    if options.get("ssl", "false").lower() not in ("true", "false", "1", "0"):
        raise ValueError("has an option ssl that is neither true nor false")
    tls = options.get("ssl", "false").lower() in ("true", "1")
    if not tls and any(name in options for name in _FILES):
        raise ValueError("has options of TLS without ssl=true")
    try:
        db = _db("/".join(path[1:]), options)
    except ValueError:
        raise ValueError("must look like sentinel://[:password@]host1:26379,host2:26379/master/0") from None
    return RedisAddress(
        hosts=tuple(_host(unquote(host.strip("[]")), int(port)) for host, port in hosts),
        master=unquote(path[0]),
        db=db,
        username=username,
        password=password_,
        sentinel_username=options.get("sentinel_username") or None,
        sentinel_password=options.get("sentinel_password") or None,
        tls=_tls(options) if tls else None,
    )


def _host(host: str, port: int) -> tuple[str, int]:
    if not 0 < port < 65536:
        raise ValueError("must be a URL with a port from 1 to 65535")
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("must name a host, or an IPv6 address in brackets") from None
    elif "," in host:
        raise ValueError("names several hosts; for Sentinels it is sentinel://, and Redis Cluster is not supported")
    elif not re.fullmatch(r"[\w.-]+", host):
        raise ValueError("must name a host, or an IPv6 address in brackets")
    return host, port


def _query(query: str, known: tuple[str, ...], scheme: str) -> Mapping[str, str]:
    """The options. Each that is not known is refused by its name: a client that ignores one does what nobody asked."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _OURS:
            raise ValueError(f"has the option {_shown(name)}, which this system sets by itself; leave it out")
        if name == "ssl_cert_reqs" and (scheme == "rediss" or "ssl" in known):
            if value.lower().removeprefix("cert_") != "required":
                raise ValueError("asks for TLS without verification; name the CA's file with ssl_ca_certs instead")
            continue
        if name not in known:
            raise ValueError(f"has an option that is not known ({_shown(name)}); there are {', '.join(known)}")
        if options.setdefault(name, value) != value:
            raise ValueError(f"has the option {name} twice")
    if "virtual_host" in options:  # Celery's word for it
        options.setdefault("db", options["virtual_host"])
        if options["db"] != options["virtual_host"]:
            raise ValueError("names two databases; write one")
    return options


def _shown(name: str) -> str:
    """The name of an option, unless it could be a piece of a password."""
    return name if re.fullmatch(r"[a-z_]{1,32}", name) else "its name is no option's"


def _credentials(user: str | None, password: str | None, options: Mapping[str, str]) -> tuple[str | None, str | None]:
    found = []
    for name, given in (("username", user), ("password", password)):
        inside, asked = unquote(given) if given else None, options.get(name) or None
        if inside and asked and inside != asked:
            raise ValueError(f"has two values for {name}; write one")
        found.append(inside or asked)
    return found[0], found[1]


def _db(path: str, options: Mapping[str, str]) -> int:
    inside, asked = unquote(path).strip("/"), options.get("db", "")
    if inside and asked and inside != asked:
        raise ValueError("names two databases; write one")
    number = asked or inside or "0"
    if not re.fullmatch(r"[0-9]{1,5}", number):
        raise ValueError("must end with the number of a database, such as /0, or with nothing")
    return int(number)


def _tls(options: Mapping[str, str]) -> Tls:
    for name in _FILES:
        if name in options and not os.access(options[name], os.R_OK):
            raise ValueError(f"names a file in {name} that cannot be read")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("has ssl_keyfile without ssl_certfile")
    return Tls(options.get("ssl_ca_certs"), options.get("ssl_certfile"), options.get("ssl_keyfile"))
