"""The paths below /simulator/, by which tests and benchmarks control the stand-in: one table at the end."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

from tests.simulator import robots
from tests.simulator.directory import Departments, Outbox
from tests.simulator.faults import Dice, Faults, RateLimits
from tests.simulator.group_chats import Chats
from tests.simulator.records import Record
from tests.simulator.sender import Event, Pushing, Sender
from tests.simulator.sign_in import SignIns
from tests.simulator.world import App, World

Body = dict[str, Any]
RECORDS_AT_ONCE = 20_000


class Control:
    def __init__(self, world: World, sender: Sender) -> None:
        self._world, self._sender = world, sender

    async def act(self, verb: str, name: str, body: Body) -> Any:
        """Raises LookupError for an unknown path or object, TypeError or ValueError for an invalid request."""
        return await PATHS[verb, name](self, body)

    async def register(self, body: Body) -> Body:
        app = App(**body)
        self._world.register(app)
        return asdict(app)

    async def settings(self, body: Body) -> Body:
        self._world.settings = replace(self._world.settings, **body)
        return asdict(self._world.settings)

    async def faults(self, body: Body) -> Body:
        """Replaces all faults, and restarts their seed."""
        faults = Faults(**body)
        self._world.dice, self._world.limits = Dice(faults), RateLimits(faults)
        return asdict(self._world.dice.faults)

    async def pushing(self, body: Body) -> Body:
        self._sender.pushing = Pushing(**body)
        return asdict(self._sender.pushing)

    async def people(self, body: Body) -> Body:
        corp = self._world.corp(self._app(body))
        for user_id, fields in body.get("members", {}).items():
            corp.name_member(user_id, **fields)
        for external_user_id, fields in body.get("customers", {}).items():
            corp.name_customer(external_user_id, **fields)
        for chat_id, fields in body.get("chats", {}).items():
            corp.of(Chats).name(chat_id, **fields)
        for id_, fields in body.get("departments", {}).items():
            corp.of(Departments).name(int(id_), **fields)
        return {"members": len(corp.members), "customers": len(corp.customers)}

    async def sign_in(self, body: Body) -> Body:
        """Sets the registered domains, and who is present; with `who`: → a code for this member, of the app."""
        signs = self._world.of(SignIns)
        signs.domains = body.get("domains", signs.domains)
        signs.present = body.get("present", signs.present)
        code = signs.code(self._app(body), body["who"], time.time()) if body.get("who") else ""
        return {"domains": signs.domains, "present": signs.present, "code": code}

    async def acquaint(self, body: Body) -> Body:
        """Members and customers become contacts, at any time, without an event: neither pushed nor recorded."""
        app = self._app(body)
        for contact in body["contacts"]:
            at = contact["created_at"]
            values = {"id": 0, "app": app.name, "corp_id": app.corp_id, "change": "add_external_contact"}
            values |= {"welcome_code": "", "state": "", "planned_at": at}
            self._world.corp(app).meet(Record(**values | contact))
        return {"contacts": len(body["contacts"])}

    async def reset(self, _: Body) -> Body:
        self._sender.reset()
        self._world.reset()
        return {}

    async def add(self, body: Body) -> Body:
        return self._sender.add(Event(**body)).to_json()

    async def repeat(self, body: Body) -> Body:
        self._sender.repeat(body["id"], body["times"])
        return {}

    async def load(self, body: Body) -> Body:
        load = {name: body.pop(name) for name in ("count", "rate", "members")}
        return await self._sender.load(Event(**body), **load)

    async def verify(self, body: Body) -> Body:
        return await self._sender.verify(self._app(body))

    async def revoke(self, _: Body) -> Body:
        return {"revoked": self._world.revoke()}

    async def kill_media(self, body: Body) -> Body:
        return {"killed": self._world.kill_media(body.get("ids"))}

    async def status(self, _: Body) -> Body:
        return {**self._world.records.status(), **self._sender.status()}

    async def summary(self, _: Body) -> Body:
        return asdict(self._world.summary())

    async def records(self, body: Body) -> list[Body]:
        """The records from an id on."""
        start = max(int(body.get("from", 1)), 1) - 1
        return [record.to_json() for record in self._world.records.all[start : start + RECORDS_AT_ONCE]]

    async def record(self, body: Body) -> Body:
        return self._world.records.all[int(body["id"]) - 1].to_json()

    async def messages(self, body: Body) -> list[Body]:
        """An app's messages to members, oldest first."""
        return self._world.corp(self._app(body)).of(Outbox).messages

    async def robot(self, _: Body) -> Body:
        """Adds a group robot. → its URL, for ALERT_WEBHOOK."""
        return {"url": f"{self._world.base_url}/cgi-bin/{robots.PATH}?key={self._world.of(robots.Robots).add()}"}

    async def alerts(self, body: Body) -> list[Body]:
        """What a group robot has sent to its group, oldest first; without a key, all of them."""
        known = self._world.of(robots.Robots).by_key
        chosen = [known[body["key"]]] if "key" in body else known.values()
        return sorted((message for robot in chosen for message in robot.messages), key=lambda one: one["at"])

    def _app(self, body: Body) -> App:
        return self._world.apps[body.get("app", "default")]


PATHS: dict[tuple[str, str], Callable[[Control, Body], Awaitable[Any]]] = {
    ("POST", "register"): Control.register,
    ("POST", "settings"): Control.settings,
    ("POST", "faults"): Control.faults,
    ("POST", "pushing"): Control.pushing,
    ("POST", "people"): Control.people,
    ("POST", "sign_in"): Control.sign_in,
    ("POST", "acquaint"): Control.acquaint,
    ("POST", "reset"): Control.reset,
    ("POST", "add"): Control.add,
    ("POST", "repeat"): Control.repeat,
    ("POST", "load"): Control.load,
    ("POST", "verify"): Control.verify,
    ("POST", "revoke"): Control.revoke,
    ("POST", "kill_media"): Control.kill_media,
    ("GET", "status"): Control.status,
    ("GET", "summary"): Control.summary,
    ("GET", "records"): Control.records,
    ("GET", "record"): Control.record,
    ("GET", "messages"): Control.messages,
    ("POST", "robot"): Control.robot,
    ("GET", "alerts"): Control.alerts,
}
