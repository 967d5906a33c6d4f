"""`wecom-welcome up`: the whole system on one machine. Replaces what dies or hangs, drains on SIGTERM.

embedded server ── web ── welcome ── upkeep ── beat         each a process of its own, forked from this one
                   stop: web and beat first, then the workers, which finish what they have, then the server
"""

import contextlib
import gc
import importlib
import json
import logging
import multiprocessing
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import IO

import redis

from tasks.liveness import SILENT, Stamp
from tasks.settings import Settings
from tasks.storage import connections, formats
from tasks.storage.embedded import Embedded
from webhook.cli.children import FORK, Child
from webhook.cli.first_start import refusals
from webhook.cli.parent_death import die_with
from webhook.cli.server_child import Ping, Remedy, remedy, state_of
from webhook.cli.shutdown_signal import ShutdownSignal
from webhook.server.addresses import address, loopback, refused_place

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks at the children; a death ends the wait
TO_START = 20.0  # seconds of silence that a child may take before its first stamp
AGAIN_AFTER = (0.0, 0.2, 0.5, 1.0)  # seconds before a child that died is started again; the last one repeats
SETTLED = 10.0  # seconds of life after which a child's deaths are forgotten
STOP_WITHIN = 25.0  # seconds for one stage to drain: longer than a welcome's window
READY_WITHIN = 20.0  # seconds after which it is said what is missing
READY_AT_WECOM = 5.0  # seconds for WeCom to say whether it knows the apps
LOCK_WITHIN = 2.0  # seconds for the server of an `up` that was killed just now to write its last and end
SERVER_START = 10.0  # seconds for the embedded server to answer; a large append-only file takes its time
SHARED = (  # what more than one role imports, part of it when it begins to work: imported once, before they are forked
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.concurrency.thread",
    "celery.events",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy",
    "importlib.resources.readers",
    "tasks.storage.broker",
    "tasks.workers",
)

RunRole = Callable[[str, Settings, str, int, Stamp], None]  # role, settings, host, port, stamp


class StartError(Exception):
    """The system cannot start. Each argument is a line that says what to do."""


def up(
    settings: Settings, host: str, port: int, announce: Callable[[str], None], run_role: RunRole, stamp: Stamp
) -> None:
    """Run everything until SIGTERM or SIGINT. `stamp`: of this process. Raises StartError or EmbeddedError."""
    if (taken := refused_place(settings, host, port)) is not None:
        raise StartError(taken)
    os.environ.pop("NOTIFY_SOCKET", None)  # gunicorn would use it too
    embedded = Embedded(settings.data_dir)
    server = lock = None
    if settings.redis_url is None:
        command = embedded.prepare()
        lock = embedded.lock(LOCK_WITHIN)
        settings = replace(settings, redis_url=embedded.url)
        server = Child("server", "valkey-server", partial(_become, command, lock), stage=2)
        server.start(time.monotonic())
        with stamp.starting():
            _wait_for_server(server, embedded)
    settings = replace(settings, notify_socket=None, liveness_file=None)  # of this process alone
    roles = [
        Child(name, _title(name, host, port), partial(_play, lock, run_role, name, settings, host, port), stage)
        for name, stage in (("web", 0), ("welcome", 1), ("upkeep", 1), ("beat", 0))
    ]
    with stamp.starting():
        _share()
        wrong = _in_a_child(partial(refusals, settings), within=READY_AT_WECOM)
    if wrong:
        if server is not None:
            _stop([server])
        raise StartError(*wrong)
    announce(f"wecom-welcome is starting on http://{address(host, port)}")
    ready = FORK.Process(target=_announce_ready, args=(os.getpid(), lock, host, port, announce), daemon=True)
    try:
        _watch(server, Ping(embedded.socket), roles, ready.start, stamp)
    finally:
        _stop([*roles, *([server] if server is not None else [])])
        if lock is not None:
            lock.close()


def _title(name: str, host: str, port: int) -> str:
    """As the command that plays the role alone."""
    return f"wecom-welcome role {name}" + (f" --host {host} --port {port}" if name == "web" else "")


def _become(command: list[str], lock: IO[str], _stamp: int) -> None:
    """In a child: become the server, which holds the lock as long as it lives."""
    os.set_inheritable(lock.fileno(), True)
    os.execv(command[0], command)  # noqa: S606


def _play(
    lock: IO[str] | None, run_role: RunRole, name: str, settings: Settings, host: str, port: int, stamp: int
) -> None:
    """In a child: play a role. The lock is the server's and the supervisor's: a role may outlive them for a while."""
    if lock is not None:
        lock.close()
    run_role(name, settings, host, port, Stamp(stamp))


def _share() -> None:
    """Import what the roles need, and put it out of the collector's reach: it would write to every shared page."""
    for module in SHARED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _in_a_child(ask: Callable[[], list[str]], within: float) -> list[str]:
    """What it returns; nothing if it takes too long. In a child, since it has threads and this process forks."""
    here, there = multiprocessing.Pipe(duplex=False)

    def answer() -> None:
        os.setsid()  # Ctrl-C is the supervisor's to act on
        logging.disable()  # what is found is told once
        there.send(ask())

    child = FORK.Process(target=answer, daemon=True)
    child.start()
    there.close()
    found: list[str] = []
    with contextlib.suppress(EOFError):  # it ended without a word
        found = here.recv() if here.poll(within) else []
    child.kill()
    child.join()
    here.close()
    return found


def _announce_ready(parent: int, lock: IO[str] | None, host: str, port: int, announce: Callable[[str], None]) -> None:
    """In a child: say once that the system is ready, or after a while what is missing."""
    die_with(parent, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to act on
    if lock is not None:
        lock.close()
    url = f"http://{address(loopback(host), port)}/readyz"
    answer = "no answer"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever HTTP_PROXY says
    by = time.monotonic() + READY_WITHIN
    while time.monotonic() < by:
        time.sleep(0.25)
        try:
            with direct.open(url, timeout=2) as response:
                remarks = json.load(response).get("remarks", [])
            announce("wecom-welcome is ready" + "".join(f"; but {remark}" for remark in remarks))
            return
        except urllib.error.HTTPError as error:
            answer = "; ".join(json.load(error)["missing"])
        except (OSError, ValueError, KeyError):
            continue
    announce(f"wecom-welcome is not ready after {READY_WITHIN:.0f} s: {answer}")


def _watch(server: Child | None, ping: Ping, roles: Sequence[Child], begin: Callable[[], object], stamp: Stamp) -> None:
    """`begin`: called once, when everything has been started."""
    ending = ShutdownSignal(signal.SIGTERM, signal.SIGINT, waking=(signal.SIGCHLD,))
    looked_at, begun = time.monotonic(), False
    while not ending.wait():
        now = time.monotonic()
        elapsed, looked_at = now - looked_at, now
        if server is not None and _runs(server, now):
            server.silence.look(ping.ask(), elapsed)
            _help(server)
        for child in roles:
            if _runs(child, now):
                child.silence.look(child.stamped_at(), elapsed)
                _end_if_silent(child)
        stamp.renew()
        multiprocessing.active_children()  # buries the one that has told whether all is ready
        if not begun:
            begun = True
            begin()
        ending.wait(LOOK)


def _end_if_silent(child: Child) -> None:
    if child.silence.seconds >= (SILENT if child.silence.changed else TO_START):
        log.error("%s has shown no sign of work for %.0f s; killing it", child.name, child.silence.seconds)
        child.signal_group(signal.SIGKILL)


def _help(server: Child) -> None:
    silence = server.silence.seconds
    match remedy(silence, state_of(server.pid) if server.pid is not None and silence > 0 else None):
        case Remedy.CONTINUE:
            log.error(
                "the embedded server was stopped by a signal, and has not answered for %.0f s; continuing it", silence
            )
            server.signal_group(signal.SIGCONT)
        case Remedy.KILL:
            log.error("the embedded server has not answered for %.0f s; killing it", silence)
            server.signal_group(signal.SIGKILL)


def _runs(child: Child, now: float) -> bool:
    """Whether it runs. If it has died, it is started again as soon as its time has come."""
    if child.process is None:
        if now >= child.again_at:
            child.start(now)
        return child.process is not None
    code = child.exit_code()
    if code is None:
        if now - child.started_at > SETTLED:
            child.deaths = 0
        return True
    child.signal_group(signal.SIGKILL)  # a child of it may hold the port
    wait = AGAIN_AFTER[min(child.deaths, len(AGAIN_AFTER) - 1)]
    child.deaths += 1
    child.process, child.again_at = None, now + wait
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    log.error("%s %s; starting it again in %.1f s", child.name, how, wait)
    if wait == 0:
        child.start(now)
    return False


def _stop(children: Sequence[Child]) -> None:
    for stage in sorted({child.stage for child in children}):
        running = [child for child in children if child.stage == stage and child.runs()]
        for child in running:
            child.terminate()
        by = time.monotonic() + STOP_WITHIN
        for child in running:
            if not child.wait(by - time.monotonic()):
                log.error("process %s does not stop; killing it", child.pid)
                child.signal_group(signal.SIGKILL)
                child.wait(STOP_WITHIN)


def _wait_for_server(server: Child, embedded: Embedded) -> None:
    client = connections.connect(embedded.url, timeout=1.0, retries=0)
    by = time.monotonic() + SERVER_START
    while time.monotonic() < by and server.runs():
        with contextlib.suppress(redis.RedisError):  # not there yet, or still loading its file
            client.ping()
            break
        time.sleep(0.02)
    else:
        _stop([server])
        raise StartError(f"the embedded server does not start; {embedded.log} says why")
    try:
        with contextlib.suppress(redis.RedisError):  # its disk is full: it starts, and each role looks again
            formats.settle(client)
    except formats.FormatRefused as error:
        _stop([server])
        raise StartError(str(error)) from None
    client.close()
