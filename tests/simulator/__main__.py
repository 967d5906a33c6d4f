"""python -m tests.simulator: the stand-in on a port of its own, until it is stopped."""

import argparse
import asyncio
import contextlib
import gc
import resource
import signal
import sys

from tests.simulator.control import Control
from tests.simulator.faults import Faults
from tests.simulator.sender import Sender
from tests.simulator.server import Server
from tests.simulator.world import Settings, World

EXAMPLE = """\
example, a slow and faulty WeCom:
  python -m tests.simulator --port 9000 --faults latency_ms=80,jitter_ms=20,busy=0.1,dropped_after=0.03 --seed 7

The product beside it: register the app, put its settings and a book into .env, start it, look, add a customer:
  curl -d '{"corp_id": "ww12", "secret": "s", "token": "t", "encoding_aes_key": "<43 letters and digits>",
            "callback_url": "http://127.0.0.1:8000/callback"}' http://127.0.0.1:9000/simulator/register
  WECOM_CORP_ID=ww12
  WECOM_CORP_SECRET=s
  WECOM_TOKEN=t
  WECOM_ENCODING_AES_KEY=<the same>
  WECOM_API_BASE=http://127.0.0.1:9000
  WELCOME_PUBLIC_URL=http://127.0.0.1:8000
  WELCOME_BOOK=tests/simulator/demo-book.yaml
  wecom-welcome up
  wecom-welcome check
  curl -d '{"user_id": "zhangsan"}' http://127.0.0.1:9000/simulator/add
  curl http://127.0.0.1:9000/simulator/summary
A group robot for ALERT_WEBHOOK, and what was sent to it:
  curl -d '{}' http://127.0.0.1:9000/simulator/robot
  curl http://127.0.0.1:9000/simulator/alerts
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator",
        description="A stand-in for WeCom: its API below /cgi-bin/, its callbacks, and control below /simulator/.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--members",
        default="zhangsan=张三,lisi=李四",
        metavar="ID=NAME,…",
        help="whom each corp has from the start, within the app's range (default %(default)s)",
    )
    parser.add_argument("--window", type=float, default=20, metavar="S", help="a welcome code's life (default 20)")
    parser.add_argument("--token-life", type=float, default=7200, metavar="S", help="a token's life (default 7200)")
    parser.add_argument(
        "--faults", default="", metavar="NAME=X,…", help="rates, limits, latency_ms, jitter_ms, paths=*"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faults: the same seed, the same faults")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input closes (with the parent)")
    given = parser.parse_args()
    try:
        given.faults = Faults.parse(f"{given.faults},seed={given.seed}")
    except ValueError as exc:
        parser.error(str(exc))
    return given


async def serve(given: argparse.Namespace) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    members = dict(one.partition("=")[::2] for one in given.members.split(",") if one)
    world = World(Settings(given.window, given.token_life), given.faults, members)
    sender = Sender(world)
    server = Server(world, Control(world, sender))
    port = await server.start(given.host, given.port)
    print(f"WeCom stand-in: http://{given.host}:{port}", flush=True)
    if given.until_eof:
        await loop.connect_read_pipe(lambda: _UntilEof(stop), sys.stdin)
    await stop.wait()
    sender.reset()
    await server.stop()


class _UntilEof(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop.set()


def main() -> None:
    given = arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # thousands of callbacks may be open at once
    gc.set_threshold(100_000, 50, 100)  # records only grow: collecting them costs CPU of the system under test
    try:
        asyncio.run(serve(given))
    except OSError as exc:
        sys.exit(f"cannot listen on {given.host}:{given.port}: {exc.strerror}")


if __name__ == "__main__":
    main()
