"""HTTP around the API and the control paths; applies latency and faults. One process, one event loop."""

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from aiohttp import web

from tests.simulator import api, sign_in
from tests.simulator.contact_ways import PICTURES, Ways, picture
from tests.simulator.control import Control
from tests.simulator.faults import SEND
from tests.simulator.records import Send
from tests.simulator.world import World

API = "/cgi-bin/"
CONTROL = "/simulator/"
BODY_LIMIT = 32 << 20  # bytes
TRICKLE_S = 0.5  # between two bytes
PAGE = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"

ERRCODES = {  # faults that are an ordinary answer
    "busy": (-1, "system busy"),
    "expired": (42001, "access_token expired"),
    "limited": (45009, "api freq out of limit"),
    "racing": (41096, "welcome is being sent"),
    "crowded": (45033, "api concurrent out of limit"),
}
NO_EFFECT = {*ERRCODES, "http_5xx", "not_json", "dropped_before", "hang"}


class Server:
    """One low-level handler for all paths: a router and middlewares would take CPU from the system under test."""

    def __init__(self, world: World, control: Control) -> None:
        self._world = world
        self._control = control
        self._runner: web.ServerRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen. → the port, a free one if `port` is 0."""
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=4096).start()
        port: int = self._runner.addresses[0][1]
        self._world.base_url = f"http://{host}:{port}"
        return port

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith(API) and path[len(API) :] in api.ROUTES:
            name = path[len(API) :]
            limits = self._world.limits
            refusal = limits.began(name, time.time())
            try:
                return await self._api(request, name, dict(parse_qsl(query)), refusal)
            finally:
                if refusal is None:
                    limits.ended(name)
        if path.startswith(PICTURES):
            return self._picture(path.removeprefix(PICTURES).partition("/")[0])
        if path in sign_in.PAGES:
            return _to_browser(sign_in.show(self._world, path, dict(parse_qsl(query)), time.time()))
        if path.startswith(CONTROL):
            return await self._steer(request, path[len(CONTROL) :], {k: v[0] for k, v in parse_qs(query).items()})
        return web.Response(status=404)

    def _picture(self, config_id: str) -> web.Response:
        """The QR code of a contact way; needs no token."""
        if any(config_id in corp.of(Ways).by_id for corp in self._world.corps.values()):
            return web.Response(body=picture(config_id), content_type="image/png")
        return web.Response(status=404)

    async def _api(
        self, request: web.BaseRequest, path: str, query: dict[str, str], refusal: str | None
    ) -> web.StreamResponse:
        world, now = self._world, time.time()
        fault, delay = world.dice.draw(path)
        fault = refusal or fault
        body = await request.content.read() if request.body_exists else b""
        content_type = request.headers.get("Content-Type", "")
        call = api.Call(
            world, path, request.method, query, body, content_type, now, delay, request.headers.get("Range", "")
        )

        if fault == "revoke":
            world.revoke(query.get("access_token", ""))
            fault = None
        if fault in NO_EFFECT:
            answer: api.Fields | api.File = api.error(*ERRCODES.get(fault, (-1, "")))
        else:
            answer = api.answer(call)
        if fault == "busy_after":
            answer = api.error(-1, "system busy")
        errcode = answer.get("errcode", 0) if isinstance(answer, dict) else 0
        result = errcode if fault is None or fault in ERRCODES else fault
        world.records.answers[path, result] += 1
        send = self._note(call, result) if path == SEND else None

        if delay:
            await asyncio.sleep(delay)
        response, answered = await self._respond(request, fault, answer)
        if not response.prepared:
            response.headers["Date"] = formatdate(time.time() + world.settings.clock_s, usegmt=True)
        if send is not None:
            send.answered = answered
        return response

    def _note(self, call: api.Call, result: int | str) -> Send | None:
        """Record the call at its welcome code's record."""
        record = call.record or self._world.records.by_code.get(api.code_in(call.body))
        if record is None:
            self._world.records.unknown_codes += 1
            return None
        send = Send(call.now, result, spent=call.spent)
        record.sends.append(send)
        return send

    async def _respond(
        self, request: web.BaseRequest, fault: str | None, answer: api.Fields | api.File
    ) -> tuple[web.StreamResponse, bool]:
        """(response, whether the caller can have received it)."""
        if fault == "hang":
            await asyncio.sleep(self._world.dice.faults.hang_s)
        if fault in ("hang", "dropped_before", "dropped_after"):
            if request.transport is not None:
                request.transport.close()
            return web.Response(), False
        if fault == "trickle":
            return await _trickle(request, _encode(answer))
        here = request.transport is not None and not request.transport.is_closing()
        if fault in ("http_5xx", "not_json"):
            status = 502 if fault == "http_5xx" else 200
            return web.Response(text=PAGE, status=status, content_type="text/html"), here
        if isinstance(answer, api.File):
            headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{answer.filename}"}
            if answer.part is None:
                return web.Response(body=answer.content, headers=headers), here
            first, size = answer.part
            headers["Content-Range"] = f"bytes {first}-{first + len(answer.content) - 1}/{size}"
            return web.Response(status=206, body=answer.content, headers=headers), here
        return web.Response(body=_encode(answer), headers=JSON), here

    async def _steer(self, request: web.BaseRequest, name: str, query: dict[str, str]) -> web.Response:
        try:
            body = json.loads(await request.content.read() or b"{}") if request.body_exists else {}
            answer = await self._control.act(request.method, name, {**query, **body})
        except LookupError as exc:
            return web.json_response({"error": f"unknown: {exc}"}, status=404)
        except (TypeError, ValueError) as exc:
            return web.json_response({"error": str(exc)}, status=400)
        return web.Response(body=_encode(answer), headers=JSON)


def _to_browser(page: sign_in.Page) -> web.Response:
    if page.location:
        return web.Response(status=302, headers={"Location": page.location})
    return web.Response(text=page.body, content_type="text/html", charset="utf-8")


JSON = {"Content-Type": "application/json; charset=UTF-8"}


def _encode(answer: Any) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")  # of a name that was cut


async def _trickle(request: web.BaseRequest, content: bytes) -> tuple[web.StreamResponse, bool]:
    response = web.StreamResponse(headers={**JSON, "Content-Length": str(len(content))})
    try:
        await response.prepare(request)
        for n in range(len(content)):
            await asyncio.sleep(TRICKLE_S)
            await response.write(content[n : n + 1])
    except ConnectionError:
        return response, False
    return response, True
