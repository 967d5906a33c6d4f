"""企业微信授权登录: the pages that a browser is sent to, and getuserinfo. Docs 98152, 91022, 91023.

The page with the QR code lists who may scan it: each member, somebody who is no member, one of a linked corp, and
"cancel". The silent one sends back whoever is present, at once.
"""

import html
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from tests.simulator.calls import Call, Fields, Route, ok
from tests.simulator.greeting import Refused
from tests.simulator.world import App, World

QR_PAGE, SILENT_PAGE, CHOSEN_PAGE = "/wwlogin/sso/login", "/connect/oauth2/authorize", "/wwlogin/sso/chosen"
PAGES = frozenset({QR_PAGE, SILENT_PAGE, CHOSEN_PAGE})
CODE_LIFE_S = 300
OUTSIDER, LINKED = "!outsider", "wwlinkedcorp0001/zhangsan"  # "!" is in nobody's userid


@dataclass(slots=True)
class Code:
    app: str
    who: str
    at: float
    used: bool = False


@dataclass(slots=True)
class SignIns:
    """domains: those registered with the apps, with their ports; empty: any. present: who is in WeCom's own browser."""

    domains: list[str] = field(default_factory=list)
    present: str = ""
    codes: dict[str, Code] = field(default_factory=dict)

    def code(self, app: App, who: str, now: float) -> str:
        code = secrets.token_urlsafe(32)
        self.codes[code] = Code(app.name, who, now)
        return code


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser gets: an address to go on to, or a page."""

    location: str = ""
    body: str = ""


def show(world: World, path: str, query: Mapping[str, str], now: float) -> Page:
    """One of the PAGES."""
    app = _app(world, query)
    uri = query.get("redirect_uri", "")
    if app is None:
        return _failed("40013", "appid 或 agentid 参数错误")
    signs = world.of(SignIns)
    if urlsplit(uri).scheme not in ("http", "https") or (signs.domains and urlsplit(uri).netloc not in signs.domains):
        return _failed("50001", "redirect_uri 与配置的授权完成回调域名不一致")
    if path == SILENT_PAGE:
        members = world.corp(app).members
        return _back(signs, app, signs.present or next(iter(members), OUTSIDER), query, now)
    if path == CHOSEN_PAGE:
        return _back(signs, app, query.get("who", ""), query, now)
    return _choice(world, app, query)


def _app(world: World, query: Mapping[str, str]) -> App | None:
    asked = query.get("appid"), query.get("agentid")
    return next((app for app in world.apps.values() if (app.corp_id, app.agent_id) == asked), None)


def _back(signs: SignIns, app: App, who: str, query: Mapping[str, str], now: float) -> Page:
    """To the redirect_uri: without a code for who has cancelled."""
    uri, given = query["redirect_uri"], {"state": query.get("state", "")}
    if who:
        given = {"code": signs.code(app, who, now), **given}
    return Page(location=f"{uri}{'&' if '?' in uri else '?'}{urlencode(given)}")


def _choice(world: World, app: App, query: Mapping[str, str]) -> Page:
    names = {id_: f"{one['name']} ({id_})" for id_, one in world.corp(app).members.items() if one["status"] == 1}
    names |= {OUTSIDER: "微信用户 (no member)", LINKED: f"互联企业 ({LINKED})", "": "取消 (cancel)"}
    kept = {name: value for name, value in query.items() if name != "who"}
    rows = "".join(
        f'<li><a href="{html.escape(CHOSEN_PAGE + "?" + urlencode({**kept, "who": who}))}">{html.escape(name)}</a></li>'
        for who, name in names.items()
    )
    return _page("企业微信扫码登录（模拟）", f"<p>谁在扫码？Who scans the code?</p><ul>{rows}</ul>")


def _failed(code: str, why: str) -> Page:
    return _page("企业微信（模拟）", f"<p>{code} {why}</p>")


def _page(title: str, body: str) -> Page:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return Page(body=f'<!doctype html><html lang="zh"><head>{head}</head><body><h1>{title}</h1>{body}</body></html>')


def getuserinfo(call: Call) -> Fields:
    signs = call.world.of(SignIns)
    code = signs.codes.get(call.required("code", 41008))
    if code is None or code.used or code.app != call.app.name or call.now - code.at > CODE_LIFE_S:
        raise Refused(40029, "invalid code")
    code.used = True
    if code.who in call.corp.members or "/" in code.who:
        return ok(userid=code.who)
    known = {"external_userid": code.who} if code.who in call.corp.customers else {}
    return ok(openid="oAAA" + secrets.token_urlsafe(18), **known)


ROUTES = {"auth/getuserinfo": Route("GET", getuserinfo)}
