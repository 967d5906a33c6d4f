"""Group robots (群机器人): a key each, 20 messages a minute, and what the group has been sent. Doc 91770."""

import secrets
from collections import deque
from dataclasses import dataclass, field

from tests.simulator.calls import Call, Fields, Route, ok
from tests.simulator.greeting import Refused

LONGEST = {"text": 2048, "markdown": 4096}  # bytes
PER_MINUTE = 20
PATH = "webhook/send"


@dataclass(slots=True)
class Robot:
    """`messages`: what it has sent to its group, oldest first."""

    messages: list[Fields] = field(default_factory=list)
    accepted: deque[float] = field(default_factory=deque)  # when each of the last minute came


class Robots:
    """By key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Robot] = {}

    def add(self) -> str:
        """A new robot's key."""
        key = "-".join(secrets.token_hex(n) for n in (4, 2, 2, 2, 6))
        self.by_key[key] = Robot()
        return key


def send(call: Call) -> Fields:
    robot = call.world.of(Robots).by_key.get(call.query.get("key", ""))
    if robot is None:
        raise Refused(93000, "invalid webhook url")
    body = call.json("msgtype")
    kind = body["msgtype"]
    if kind not in LONGEST:
        raise Refused(40008, "invalid message type")
    content = body.get(kind, {}).get("content", "")
    if not isinstance(content, str) or not content:
        raise Refused(44004, "empty content")
    if len(content.encode("utf-8", "surrogatepass")) > LONGEST[kind]:
        raise Refused(40058, f"{kind}.content exceed max length {LONGEST[kind]}. invalid Request Parameter")
    while robot.accepted and robot.accepted[0] <= call.now - 60:
        robot.accepted.popleft()
    if len(robot.accepted) >= PER_MINUTE:
        raise Refused(45009, "api freq out of limit")
    robot.accepted.append(call.now)
    robot.messages.append({"at": call.now, "kind": kind, "content": content})
    return ok()


ROUTES = {PATH: Route("POST", send, with_token=False)}
