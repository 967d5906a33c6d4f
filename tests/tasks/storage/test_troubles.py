"""What is wrong with Redis, told from what a client meets: real servers where they can be had, else their answers."""

import socket

import pytest
import redis

from tasks.storage import connections, troubles
from tests.support import certificate
from tests.support.processes import RedisServer, free_port
from tests.support.servers import Server, nobody, redis_saying, silent


def met(url: str, timeout: float = 5.0) -> redis.RedisError:
    """The error of a write there."""
    with (
        connections.connect(url, timeout=timeout, retries=0) as client,
        pytest.raises(redis.RedisError) as caught,
    ):
        client.set("a", "b")
    return caught.value


def fault(error: redis.RedisError) -> str:
    trouble = troubles.of(error)
    assert str(trouble.cure)
    return str(trouble.fault)


@pytest.mark.parametrize(
    ("answer", "said", "words", "passes"),
    [
        ("NOAUTH Authentication required.", "asks for a password", "NOAUTH Authentication required.", False),
        ("DENIED Redis is running in protected mode because", "is in protected mode", "DENIED Redis is", False),
        ("LOADING Redis is loading the dataset in memory", "is still reading its file", "LOADING Redis is", True),
        ("ERR max number of clients reached", "has as many connections", "max number of clients reached", True),
        ("MASTERDOWN Link with MASTER is down", "is a replica whose primary is away", "MASTERDOWN Link", True),
        ("NOREPLICAS Not enough good replicas", "too few of its replicas", "NOREPLICAS Not", True),
        ("MISCONF Errors writing to the AOF file: No space", "cannot write to its disk", "MISCONF Errors", True),
        ("BUSY Redis is busy running a script.", "is busy with a script", "BUSY Redis is busy", True),
        ("MOVED 3999 127.0.0.1:6381", "is a Redis Cluster", "MOVED 3999", False),
        ("ERR something new", "answers with an error", "something new", True),
    ],
)
def test_what_a_server_says_has_its_cure(answer, said, words, passes):
    with Server(redis_saying(f"-{answer}\r\n".encode())) as server:
        error = met(f"redis://127.0.0.1:{server.port}")
    assert said in fault(error)
    assert troubles.words(error).startswith(words)
    assert troubles.of(error).passes is passes


def test_the_arguments_that_a_server_repeats_are_not_told():
    with Server(redis_saying(b"-ERR unknown command 'SET', with args beginning with: 'hunter2'\r\n")) as server:
        error = met(f"redis://127.0.0.1:{server.port}")
    assert fault(error).startswith("does not know a command")
    assert troubles.words(error) == "unknown command 'SET'"


def test_what_keeps_a_user_out_of_a_real_server(hurt_server: RedisServer):
    with hurt_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">pw", "~*", "+@all", "-set")
        for user, said, words in (
            ("reader:pw", "does not let this user", "NOPERM User reader has no permissions"),
            ("reader:hunter2", "refuses this user or password", "WRONGPASS "),
            (":hunter2", "has no password, and REDIS_URL has one", "AUTH <password> called without"),
        ):
            error = met(hurt_server.url.replace("unix://", f"unix://{user}@"))
            assert said in fault(error)
            assert troubles.words(error).startswith(words)
            assert not troubles.of(error).passes
            assert "hunter" not in troubles.line(error)
        assert "no database of this number" in fault(met(hurt_server.url.replace("db=0", "db=99")))
        client.config_set("maxmemory", "1")
        assert fault(met(hurt_server.url)) == "is full"
        client.config_set("maxmemory", "0")
        client.replicaof("127.0.0.1", 1)
        error = met(hurt_server.url)
        client.replicaof("NO", "ONE")
    assert fault(error) == "is a replica, which takes no writes"
    assert troubles.words(error).startswith("READONLY ")
    assert troubles.of(error).passes  # a failover may go on


def test_nobody_there_is_told_apart_from_silence(tmp_path):
    assert "nothing listens" in fault(met(f"redis://127.0.0.1:{free_port()}"))
    assert fault(met(f"unix://{tmp_path}/none")) == "has no socket at this path"
    error = met("redis://no-such-host.invalid")
    assert fault(error) == "has a host name that is not known here"
    assert troubles.of(error).passes  # the name of a container that does not run yet
    with Server(silent) as server:
        assert fault(met(f"redis://127.0.0.1:{server.port}", timeout=0.1)) == "does not answer in time"
    with Server(lambda _, connection: connection.close()) as server:
        assert fault(met(f"redis://127.0.0.1:{server.port}")) == "closes the connection"
    with Server(redis_saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        assert "is no Redis" in fault(met(f"redis://127.0.0.1:{server.port}"))


def test_tls_where_there_is_none_and_none_where_there_is_tls(pem):
    with Server(lambda _, connection: connection.recv(9) and connection.sendall(b"-ERR unknown command\r\n")) as plain:
        assert fault(met(f"rediss://127.0.0.1:{plain.port}")) == "does not speak TLS at this port"
    with Server(redis_saying(b"+OK\r\n"), tls=certificate.server_side(pem)) as secure:
        untrusted = met(f"rediss://127.0.0.1:{secure.port}")
        assert fault(untrusted) == "has a certificate that is not trusted"
        assert not troubles.of(untrusted).passes
        elsewhere = met(f"rediss://localhost:{secure.port}?ssl_ca_certs={pem}")
        assert fault(elsewhere) == "has a certificate of another name"
    alert = bytes.fromhex("15030100020246")  # what a server with TLS says to what is no TLS: alert, protocol version
    with Server(redis_saying(alert)) as secure:
        assert fault(met(f"redis://127.0.0.1:{secure.port}")) == "speaks TLS at this port"


def test_sentinels_that_refuse_are_told_apart_from_those_that_know_no_master():
    with nobody() as url:
        port = url.rpartition(":")[2]
        error = met(f"sentinel://127.0.0.1:{port}/mymaster/0")
    assert "no Sentinel that answers knows" in fault(error)
    assert troubles.of(error).passes
    with Server(redis_saying(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")) as server:
        error = met(f"sentinel://127.0.0.1:{server.port}/mymaster/0?sentinel_password=hunter2")
    assert "the Sentinels refuse this user or password" in fault(error)
    assert "hunter" not in troubles.line(error)


def test_every_error_has_a_row():
    for error in (redis.RedisError(), OSError("x"), socket.gaierror(-2, "x"), ValueError("?"), redis.ConnectionError()):
        assert str(troubles.of(error).fault)
        assert troubles.line(error)
