"""A program that uses the WeCom client where nothing can be imported but the client and what it needs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.simulator.client import StandIn
from tests.simulator.world import App

NEEDS = ("urllib3", "redis", *(("async_timeout",) if sys.version_info < (3, 11, 3) else ()))  # the last one is redis's
PROGRAM = """
import importlib, json, pickle, sys
folder, name, redis_url, *arguments = sys.argv[1:]
sys.path.append(folder)
library = importlib.import_module(name)
shared = importlib.import_module("redis").Redis.from_url(redis_url) if redis_url else None
with library.WeComClient(*arguments, redis=shared, timeout=20) as client:
    members = client.external_contact.get_follow_user_list()["follow_user"]
    is_shared = client.tokens.is_shared()
    try:
        client.user.get("nobody")
    except library.WeComAPIError as error:
        refused = type(pickle.loads(pickle.dumps(error))).__name__
loaded = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(json.dumps([members, refused, is_shared, sorted(loaded - {"__main__"})]))
"""


def alone(folder: Path, name: str, needs: tuple[str, ...], redis_url: str, wecom: StandIn, app: App) -> Any:
    """What PROGRAM prints where nothing can be imported but the package in `folder`, and what it needs."""
    for need in needs:
        spec = importlib.util.find_spec(need)
        assert spec is not None
        assert spec.origin is not None
        (folder / need).symlink_to(Path(spec.origin).parent)
    isolated = [sys.executable, "-I", "-S"]  # neither PYTHONPATH nor site-packages, where this project is installed
    done = subprocess.run(
        [*isolated, "-c", PROGRAM, str(folder), name, redis_url, app.corp_id, app.secret, wecom.base_url],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
