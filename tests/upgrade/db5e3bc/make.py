"""Makes this folder's data anew, by the code of commit db5e3bc. See README.md.

cd CHECKOUT && .venv/bin/python …/tests/upgrade/db5e3bc/make.py FOLDER
"""

import json
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))  # the checkout: its `tests`

import afterwards
import golden
import greetings
from installation import APPS, Installation

from tests.simulator.client import StandIn


STEPS = (
    *(greetings.restored, greetings.people, greetings.books, greetings.upload, afterwards.real),
    *(greetings.sent, greetings.doubtful, greetings.refused, greetings.unreachable, greetings.failed, greetings.late),
    *(afterwards.follow_ups, afterwards.work_list, greetings.others, afterwards.compared, afterwards.groups),
    *(afterwards.channels, afterwards.draft, afterwards.callbacks, afterwards.signed_out, afterwards.schedule),
    *(afterwards.follow_ups_that_wait, afterwards.unfinished, afterwards.no_secrets),
)
REST = 125  # seconds after which the last windows are over, and a reminder that hangs counts as in doubt


def main(folder: Path) -> None:
    with StandIn() as wecom:
        old = Installation(folder / "work", wecom)
        try:
            for step in STEPS:
                print(f"{time.strftime('%X')}  {step.__module__}.{step.__name__}", flush=True)
                step(old)
            old.configure(tuple(name for name in APPS if name != "later-gone"))
            time.sleep(REST)
            golden.record(old, folder / "golden")
            old.command("backup", str(folder / "backup.zip"))
            made_at = old.parts().ledger.now()
            old.rewrite()
        finally:
            old.stop()
        _keep(old, folder, made_at)


def _keep(old: Installation, folder: Path, made_at: int) -> None:
    """What is committed of the data directory: its files but for the log, the lock and the socket."""
    kept = folder / "data/valkey"
    kept.mkdir(parents=True)
    shutil.copytree(old.embedded.directory / "appendonlydir", kept / "appendonlydir")
    shutil.copy(old.embedded.directory / "written-by", kept)
    shutil.copy(old.folder / "apps.toml", folder)
    (folder / "made.json").write_text(json.dumps({"at": made_at}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
