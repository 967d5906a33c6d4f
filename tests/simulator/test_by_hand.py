"""The stand-in as somebody starts it by hand, with the product beside it as its --help says."""

import re
import sys
from pathlib import Path

import pytest
import requests

from tests.simulator.__main__ import EXAMPLE
from tests.support.cli import run
from tests.support.processes import COMMAND, ROOT, Process, free_port
from tests.support.until import until

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def test_the_doctor_has_nothing_to_say_beside_a_fresh_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And rehearsals find `up` on this machine, where the public address does not lead to it yet."""
    monkeypatch.chdir(tmp_path)
    wecom, web = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    words = EXAMPLE.replace("http://127.0.0.1:9000", wecom).replace("http://127.0.0.1:8000", web)
    words = re.sub(r"<43[^>]*>|<the same>", KEY, words).replace("tests/simulator", f"{ROOT}/tests/simulator")
    settings = re.findall(r"^  (W[A-Z_]+=.+)$", words, re.MULTILINE)
    (tmp_path / ".env").write_text("\n".join(settings) + "\n", "utf-8")
    (tmp_path / ".env").chmod(0o600)
    body = re.search(r"curl -d '(\{.+?\})' (\S+/register)", words, re.DOTALL)

    port = wecom.rpartition(":")[2]
    stand_in = Process("wecom", [sys.executable, "-m", "tests.simulator", "--port", port], {}, tmp_path).start()
    up = Process("up", [str(COMMAND), "up", "--port", web.rpartition(":")[2]], {}, tmp_path)
    try:
        until(lambda: "stand-in" in stand_in.output(), what="the stand-in")
        assert requests.post(body[2], data=body[1].encode(), timeout=30).ok
        up.start()
        until(lambda: "is ready" in up.output(), what="up")
        found = run("check")
        lines = found.stdout.splitlines()
        assert (found.exit_code, found.stderr) == (0, "")
        assert [line for line in lines if not line.startswith("✓")] == []
        assert "✓ members with 客户联系 in the app's range: 2" in lines

        nowhere = f"http://127.0.0.1:{free_port()}"
        rehearsed = run("simulate", WELCOME_PUBLIC_URL=nowhere)
        assert rehearsed.exit_code == 0, rehearsed.stderr
        assert rehearsed.stderr == (
            f"! {nowhere}/callback does not answer from here (ConnectionError); used {web}/callback, on this machine\n"
        )
        assert "rehearsed in" in rehearsed.stdout
        found = run("check", WELCOME_PUBLIC_URL=nowhere)
        assert (
            f"! callback URL: {nowhere}/callback does not answer from here (ConnectionError);"
            f" {web}/callback verifies, on this machine\n    → let the proxy or tunnel lead there"
        ) in found.stdout
        assert found.exit_code == 0
    finally:
        up.stop()
        stand_in.stop()
