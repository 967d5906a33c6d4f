"""REDIS_URL → connections that never wait long, and that follow the primary when it moves: ours, and Celery's.

Every client has socket time-outs and its own rule for what is tried again: redis-py's ten retries turn one stalled
call into ten seconds, and without a time-out a half-open link holds its caller for ever.

What is tried again, once:
  the connection could not be made     nothing was sent
  the server is not the primary, or is still loading (READONLY, LOADING, MASTERDOWN …)     nothing was done; the pooled
                                       connections lead to the same server, so they are dropped
  the answer was lost                  the step may have been done: only reads, and writes that say the same twice
                                       (REPEATABLE, and scripts that are guarded by an id: `repeatable`)
"""

import contextlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.commands.core import Script
from redis.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterError,
    MasterDownError,
    MaxConnectionsError,
    NoScriptError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from tasks.storage import circuit_breaker, damage, redis_url
from tasks.storage.redis_url import RedisAddress

Redis: TypeAlias = redis.Redis  # its replies come as text: see tasks.storage.replies
T = TypeVar("T")

_READS = """
    PING ECHO TIME INFO EXISTS TYPE TTL PTTL EXPIRETIME DBSIZE SCAN GET MGET STRLEN GETRANGE HGET HMGET HGETALL HKEYS
    HVALS HLEN HEXISTS HSCAN LLEN LRANGE LINDEX SCARD SISMEMBER SMEMBERS SSCAN ZCARD ZCOUNT ZSCORE ZMSCORE ZRANK ZRANGE
    ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZSCAN
"""
_NAMED_BY_TWO = {"MEMORY USAGE", "CONFIG GET", "SCRIPT LOAD", "SCRIPT EXISTS"}  # as redis-py writes them
REPEATABLE = frozenset(_READS.split()) | _NAMED_BY_TWO | {"SET", "HSET", "EXPIRE", "PEXPIRE"}  # see `_may_repeat`
AT_ONCE = 64  # connections of a client in use: hundreds of threads need one for a millisecond each, and wait for it
_CONDITIONS = {"NX", "XX", "GET", "GT", "LT", "IFEQ", "IFNE"}  # with one, a second SET or EXPIRE answers otherwise
_NOT_PRIMARY = ("READONLY", "LOADING", "MASTERDOWN", "UNBLOCKED", "NOREPLICAS")
_WITHIN = re.compile(rf"(?:^|because of: |-)(?:{'|'.join(_NOT_PRIMARY)}) ")  # EXECABORT; Redis 6 in a script's error
_CLUSTERS = (AskError, ClusterError, ClusterCrossSlotError)  # a MovedError is an AskError
CLUSTER = "this is a Redis Cluster, on which this cannot run: REDIS_URL must lead to one server, or to Sentinels"


class NotPrimary(redis.ConnectionError):
    """The server is not, or not yet, the one that takes writes. Nothing was done.

    A connection error to redis-py and to kombu alike: both reconnect.
    """


class ReadOnlyError(NotPrimary):
    """The server is a replica."""


class CannotPersist(redis.ResponseError):
    """The server cannot write its file: its disk is full, mostly. Until it can, it takes no write. Nothing was done."""


class ClusterRefused(redis.ResponseError):
    """The server belongs to a Redis Cluster."""

    def __init__(self) -> None:
        super().__init__(CLUSTER)


def connect(url: str, *, timeout: float, retries: int = 1) -> Redis:
    """A thread-safe client. `timeout`: seconds for a connection and for each answer, and to wait for a free connection.

    The worst case is (retries + 1) × timeout. Raises ValueError for a URL that cannot be honoured.
    """
    pool = make_pool(redis_url.read(url), timeout, timeout, decode_responses=True, retry=Retry(NoBackoff(), 0))
    pool.places = threading.Semaphore(AT_ONCE)
    client = Client(connection_pool=pool)
    client.retries = retries
    client.auto_close_connection_pool = True  # nobody else has it
    return client


def broker(url: str) -> tuple[str, dict[str, Any]]:
    """(broker_url, broker_transport_options) for Celery, with `TRANSPORT`. The URL has no password: people see it."""
    address = redis_url.read(url)
    named = {"master_name": address.master} if address.master else {}  # for Flower; see `Transport.as_uri`
    return str(address), named | {
        "address": address,
        "socket_timeout": 3,
        "socket_connect_timeout": 1,
        "health_check_interval": 5,
        "visibility_timeout": 3600,  # the ledger's leases bring events back, not Celery
    }


def is_cluster(client: Redis) -> bool:
    """Whether the server belongs to a Redis Cluster; False where it does not say. Raises redis.RedisError."""
    try:
        return bool(client.info("cluster").get("cluster_enabled"))
    except redis.ResponseError:  # NOPERM, mostly
        return False


TRANSPORT = "tasks.storage.broker:Transport"  # for Celery's `broker_transport`


# ------------------------------------------------------------------------------------------------ connections


class _FollowsPrimary(AbstractConnection):
    """A connection that its pool drops when the server turns out not to be the primary."""

    pool: "Pool | SentinelPool | None" = None  # set by the pool that makes it
    moves = 0  # of the pool, when this connected

    def connect(self) -> None:
        if self.pool is not None and self._sock is None:
            self.moves = self.pool.moves
        try:
            super().connect()
        except redis.RedisError as error:
            error.unsent = True  # type: ignore[attr-defined]
            circuit_breaker.note(error)
            raise

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:  # not SentinelManagedConnection's own, which knows READONLY alone
            return AbstractConnection.read_response(self, *args, **kwargs)
        except (redis.ResponseError, BusyLoadingError) as error:
            if not _is_not_primary(error):
                if isinstance(error, _CLUSTERS):
                    raise ClusterRefused from None
                if "MISCONF " in str(error):
                    raise CannotPersist(str(error)) from None
                raise
            self.disconnect()
            if self.pool is not None and self.moves == self.pool.moves:
                self.pool.drop()
            raise _not_primary(error)(str(error)) from None
        except redis.TimeoutError as error:
            circuit_breaker.note(error)
            raise

    def disconnect(self, *args: Any, **kwargs: Any) -> None:
        super().disconnect(*args, **kwargs)
        if self.pool is not None and self.pool.on_disconnect is not None:
            self.pool.on_disconnect(self)


def _is_not_primary(error: redis.RedisError) -> bool:
    known = isinstance(error, redis.exceptions.ReadOnlyError | BusyLoadingError | MasterDownError)
    return known or _WITHIN.search(str(error)) is not None


def _not_primary(error: redis.RedisError) -> type[NotPrimary]:
    read_only = isinstance(error, redis.exceptions.ReadOnlyError) or "READONLY " in str(error)
    return ReadOnlyError if read_only else NotPrimary


class _Packer:
    """A command as bytes. redis-py's own looks at each argument's type first, which for a script's costs more.

    Half an emoji, left of a name that WeCom has cut, becomes `?`: it must not cost anybody the greeting.
    """

    def pack(self, *args: Any) -> list[bytes]:
        try:
            return [hiredis.pack_command((*str(args[0]).split(), *args[1:]))]
        except UnicodeEncodeError:
            return self.pack(
                *(one.encode("utf-8", "replace").decode() if isinstance(one, str) else one for one in args)
            )
        except TypeError as error:
            raise redis.DataError(str(error)) from None


class _Tcp(_FollowsPrimary, Connection):
    pass


class _Tls(_FollowsPrimary, SSLConnection):
    pass


class _Unix(_FollowsPrimary, UnixDomainSocketConnection):
    pass


class _Managed(_FollowsPrimary, SentinelManagedConnection):
    pass


class _ManagedTls(_FollowsPrimary, SentinelManagedConnection, SSLConnection):
    pass


class _DropsAll(ConnectionPool):
    """A pool whose connections all go when one of them has met a server that is not the primary."""

    moves = 0
    on_disconnect: Callable[[Any], None] | None = None
    places: threading.Semaphore | None = None  # of connections that may be in use at once; None: no bound

    def get_connection(self, *args: Any, **options: Any) -> Any:
        circuit_breaker.check()
        if self.places is not None and not self.places.acquire(timeout=self.connection_kwargs["socket_timeout"]):
            error = MaxConnectionsError("no connection became free")
            error.unsent = True  # type: ignore[attr-defined]
            circuit_breaker.note(error)
            raise error
        return super().get_connection(*args, **options)  # which calls `release` if it fails

    def make_connection(self) -> Any:
        connection: Any = super().make_connection()
        connection.pool = self
        return connection

    def drop(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        self.moves += 1
        self.disconnect(inuse_connections=False)

    def release(self, connection: Any) -> None:
        if connection.moves != self.moves:
            connection.disconnect()
        super().release(connection)
        if self.places is not None:
            self.places.release()


class Pool(_DropsAll):
    """To one server."""


class SentinelPool(_DropsAll, SentinelConnectionPool):
    """To the master that Sentinels name, which are asked for each connection."""


def make_pool(address: RedisAddress, connect_timeout: float, timeout: float, **options: Any) -> Pool | SentinelPool:
    """A pool of connections. `options`: further ones of redis-py's connections."""
    plain: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": connect_timeout, "protocol": 2}
    if address.path is None:
        plain["socket_keepalive"] = True
    if address.tls is not None:
        plain |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": address.tls.ca_certs,
            "ssl_certfile": address.tls.certfile,
            "ssl_keyfile": address.tls.keyfile,
        }
    own: dict[str, Any] = {"db": address.db, "username": address.username, "password": address.password}
    own["command_packer"] = _Packer()
    if address.path is not None:
        return Pool(connection_class=_Unix, path=address.path, **own, **plain, **options)
    secure = address.tls is not None
    if address.master is None:
        host, port = address.hosts[0]
        return Pool(connection_class=_Tls if secure else _Tcp, host=host, port=port, **own, **plain, **options)
    asking = plain | {"username": address.sentinel_username, "password": address.sentinel_password}
    asking |= {"ssl": secure, "retry": Retry(NoBackoff(), 0)}
    sentinels = Sentinel(list(address.hosts), sentinel_kwargs=asking)
    kind = _ManagedTls if secure else _Managed
    return SentinelPool(address.master, sentinels, connection_class=kind, **own, **plain, **options)


# ------------------------------------------------------------------------------------------------ what is tried again


class Client(redis.Redis):
    """redis-py's client, with the rule above in place of its own retries."""

    retries = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.repeatable: set[str] = set()  # SHA-1 of scripts
        self._scripts: dict[str, str] = {}  # SHA-1 → text

    def register_script(self, script: Any) -> Script:
        registered = _Script(self, script)
        self._scripts[str(registered.sha)] = script
        return registered

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return _again(
                lambda: self._once(*args, **options), self.retries, lambda: _may_repeat(args, self.repeatable)
            )
        except redis.ResponseError as error:
            return damage.answer_to(args, error)

    def _execute_command(self, *args: Any, **options: Any) -> Any:
        """A command on a connection of the pool.

        As redis-py's own, but for retries and measurements that nobody here switches on: a third of a call's CPU.
        """
        if self.connection is not None:
            return super()._execute_command(*args, **options)
        connection = self.connection_pool.get_connection()
        try:
            connection.send_command(*args)
            return self.parse_response(connection, args[0], **options)
        except (redis.ConnectionError, redis.TimeoutError):
            connection.disconnect()
            raise
        finally:
            self.connection_pool.release(connection)

    def _once(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)
        except NoScriptError:  # the new primary has not seen it yet; nothing was done
            if args[0] != "EVALSHA" or args[1] not in self._scripts:
                raise
        super().execute_command("SCRIPT LOAD", self._scripts[args[1]])
        return super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipe = _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipe.retries, pipe.repeatable, pipe.is_transaction = self.retries, self.repeatable, transaction
        return pipe


class _Script(Script):
    """redis-py's script; `Client` itself loads it where the server does not know it."""

    def __call__(self, keys: Any = (), args: Any = (), client: Any = None) -> Any:
        if client is not None:
            return super().__call__(keys, args, client)
        return self.registered_client.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)


class _Pipeline(Pipeline):
    retries = 1
    repeatable: set[str]
    is_transaction = True

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, scripts, watching = list(self.command_stack), set(self.scripts), self.watching

        def once() -> list[Any]:
            self.command_stack, self.scripts = list(commands), set(scripts)  # the first time may have cleared them
            done: list[Any] = super(_Pipeline, self).execute(raise_on_error)
            return done

        return _again(
            once,
            0 if watching else self.retries,
            lambda: all(_may_repeat(one[0], self.repeatable) for one in commands),
        )

    def raise_first_error(self, commands: Any, response: Any) -> None:
        if not self.is_transaction:
            for number, answer in enumerate(response):
                if isinstance(answer, redis.ResponseError):
                    with contextlib.suppress(redis.ResponseError):
                        response[number] = damage.answer_to(commands[number][0], answer)
        super().raise_first_error(commands, response)


def repeatable(script: Script) -> Script:
    """A script that may run again when its answer was lost: the second time it changes nothing, and says the same."""
    if isinstance(script.registered_client, Client):
        script.registered_client.repeatable.add(str(script.sha))
    return script


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A script of `register_script`, and what it is called with."""

    script: Script
    keys: Sequence[Any]
    args: Sequence[Any]

    @property
    def command(self) -> tuple[Any, ...]:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)


def run_scripts(client: Redis, calls: Sequence[ScriptCall]) -> list[Any]:
    """What each of them returns, or its ResponseError, one after the other in one exchange. Raises other errors.

    A script that the server does not know yet runs after the others; redis-py's pipeline would ask for it first.
    """
    retries = client.retries if isinstance(client, Client) else 0
    answers = _again(lambda: _exchange(client, calls), retries, lambda: False)
    unknown = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:  # the new primary has not seen them yet; nothing was done
        for text in {str(calls[number].script.script) for number in unknown}:
            client.script_load(text)
        again = _again(lambda: _exchange(client, [calls[number] for number in unknown]), retries, lambda: False)
        for number, answer in zip(unknown, again, strict=True):
            answers[number] = answer
    return answers


def _exchange(client: Redis, calls: Sequence[ScriptCall]) -> list[Any]:
    connection: Any = client.connection_pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands([call.command for call in calls]))
        return [_answer(connection) for _ in calls]
    except BaseException:  # answers that nobody has read would be taken for those of the next
        connection.disconnect()
        raise
    finally:
        client.connection_pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def _again(step: Callable[[], T], retries: int, may_repeat: Callable[[], bool]) -> T:
    while True:
        try:
            return step()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            nothing_done = isinstance(error, NotPrimary) or getattr(error, "unsent", False)
            if retries == 0 or not (nothing_done or may_repeat()):
                raise
            retries -= 1


def _may_repeat(command: tuple[Any, ...], scripts: set[str]) -> bool:
    name = str(command[0]).upper()
    if name == "EVALSHA":
        return str(command[1]) in scripts
    if name in ("SET", "EXPIRE", "PEXPIRE") and _CONDITIONS.intersection(map(str, command[3:])):
        return False
    return name in REPEATABLE
