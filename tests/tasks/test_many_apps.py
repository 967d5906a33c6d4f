"""Thousands of apps in one installation: what each costs does not grow with how many the others are."""

import gc
import threading
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tasks import upkeep
from tasks.books.revisions import BookStore
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage.connections import Redis
from tests.support.books import a_template

APP = """
[apps.app{n}]
corp_id = "ww{n:016x}"
secret = "not-a-secret"
token = "QDG6eK"
encoding_aes_key = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
"""
BYTES = 30_000  # for an app, in each process; a TLS context of its own would take a megabyte


def built(folder: Path, apps: int) -> Services:
    config = folder / "apps.toml"
    config.write_text("".join(APP.format(n=n) for n in range(apps)))
    return build_services(read({"WELCOME_CONFIG": str(config), "REDIS_URL": "redis://127.0.0.1:1"}, folder))


def memory_of(folder: Path, apps: int) -> int:
    """Bytes that the services of so many apps take."""
    gc.collect()
    tracemalloc.start()
    services = built(folder, apps)
    _ = services.greeting_clients
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken


def test_an_app_takes_as_much_memory_whatever_others_there_are(tmp_path: Path) -> None:
    memory_of(tmp_path, 1)  # what is read once
    few, many = memory_of(tmp_path, 50), memory_of(tmp_path, 250)
    assert many - few < 200 * BYTES


def test_storing_a_book_reads_no_other_apps_books_while_there_is_room(redis_client: Redis) -> None:
    books = BookStore(redis_client)

    def commands() -> int:
        return int(redis_client.info("stats")["total_commands_processed"])

    def cost(app: str) -> int:
        before = commands()
        books.import_first(app, a_template("text: t"))
        return commands() - before

    first = cost("app0")
    for n in range(1, 30):
        books.import_first(f"app{n}", a_template("text: t"))
    assert cost("app30") <= first  # which has loaded the script too


class AtOnce:
    """Tokens that are had only if several are asked for at the same time."""

    def __init__(self, together: threading.Barrier) -> None:
        self._together = together

    def refresh(self, ahead: float, by: float) -> float:
        self._together.wait(45)
        return 7200.0

    def is_shared(self) -> bool:
        return True


def test_tokens_are_fetched_side_by_side_so_that_one_app_does_not_hold_up_the_others() -> None:
    together = threading.Barrier(4)
    clients = {f"app{n}": SimpleNamespace(tokens=AtOnce(together)) for n in range(4)}
    assert upkeep.refresh_tokens(cast(Services, SimpleNamespace(clients=clients)))


class Ending:
    """A token that ends in half a second; the one after it lasts."""

    def __init__(self) -> None:
        self.lefts = [0.5, 0.4]

    def refresh(self, ahead: float, by: float) -> float:
        return self.lefts.pop(0) if self.lefts else 7200.0

    def is_shared(self) -> bool:
        return True


def test_tokens_that_end_together_are_followed_by_one_thread() -> None:
    """Systemd and containers let this role have 256."""
    clients = {f"app{n}": SimpleNamespace(tokens=Ending()) for n in range(300)}
    before = set(threading.enumerate())
    for _ in range(2):  # by two runs, too
        assert upkeep.refresh_tokens(cast(Services, SimpleNamespace(clients=clients)))
        assert len(set(threading.enumerate()) - before) <= 1
    (follower,) = set(threading.enumerate()) - before
    follower.join(20)
    assert not follower.is_alive(), "those that last are left to the schedule"
    assert not any(client.tokens.lefts for client in clients.values())
