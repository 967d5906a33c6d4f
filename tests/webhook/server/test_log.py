"""The server's own lines have the format of all others."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.processes import RedisServer
from tests.support.until import until
from tests.support.web import WebProcess


@pytest.mark.parametrize("style", ["json", "text"])
def test_what_gunicorn_says_of_a_worker_that_was_killed_is_as_log_format_has_it(
    redis_server: RedisServer, tmp_path: Path, style: str
) -> None:
    with WebProcess(tmp_path, redis_server.url, LOG_FORMAT=style) as web:
        master = web.pid
        (worker,) = map(int, Path(f"/proc/{master}/task/{master}/children").read_text("ascii").split())
        os.kill(worker, signal.SIGKILL)
        until(lambda: "SIGKILL" in web.output())
        lines = web.output().splitlines()
    if style == "json":
        said = [json.loads(line) for line in lines]
        (line,) = [one for one in said if "SIGKILL" in one["message"]]
        assert (line["level"], line["logger"], line["role"]) == ("ERROR", "gunicorn.error", "web")
    else:
        (text,) = [one for one in lines if "SIGKILL" in one]
        assert " ERROR   web " in text
