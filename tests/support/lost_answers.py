"""A Redis that does what it is told, and whose answer is lost on the way."""

from typing import Any

import pytest
import redis


def lose_an_answer(monkeypatch: pytest.MonkeyPatch, *commands: str) -> list[str]:
    """The next answer to one of these commands is lost. → the commands that were done since, in order."""
    real, done, lost = redis.Redis.execute_command, [], []

    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        answer = real(self, *args, **options)
        done.append(str(args[0]))
        if args[0] in commands and not lost:
            lost.append(args[0])
            raise redis.ConnectionError("Connection closed by server.")
        return answer

    monkeypatch.setattr(redis.Redis, "execute_command", execute_command)
    return done
