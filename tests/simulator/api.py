"""The API below /cgi-bin/: tokens and the greeting, and the table of all paths. Docs 91039, 92137.

A handler takes a Call and returns what WeCom answers, or raises Refused; HTTP, latency and faults are the server's.
"""

from tests.simulator import (
    acquisition,
    contact_ways,
    customers,
    directory,
    greeting,
    group_chats,
    group_messages,
    intercept_rules,
    media,
    moments,
    product_albums,
    robots,
    sign_in,
    tags,
    transfers,
    welcomes,
)
from tests.simulator.calls import Call, Fields, File, Route, code_in, error, ok
from tests.simulator.faults import SEND
from tests.simulator.greeting import Refused
from tests.simulator.world import App

SUITE_ACCESS_TOKEN = "SUITE_ACCESS_TOKEN"  # of every suite; it neither ends nor is fetched here

__all__ = ["ROUTES", "SUITE_ACCESS_TOKEN", "Call", "Fields", "File", "answer", "code_in", "error"]


def answer(call: Call) -> Fields | File:
    """WeCom's answer to a call of a path in ROUTES; the call takes effect here."""
    route = ROUTES[call.path]
    try:
        if call.verb != route.verb:
            raise Refused(40058, f"invalid Request Parameter, use {route.verb}")
        if route.with_token:
            call.app = _owner(call)
        return route.handler(call)
    except Refused as refused:
        return error(refused.errcode, refused.errmsg)


def _owner(call: Call) -> App:
    """The app whose token is in the query; a token anywhere else does not count. Doc 91039."""
    token = call.world.tokens.get(call.required("access_token", 41001))
    if token is None or token.revoked:
        raise Refused(40014, "invalid access_token")
    if token.expires_at <= call.now:
        raise Refused(42001, "access_token expired")
    return token.app


def get_token(call: Call) -> Fields:
    world = call.world
    corp_id, secret = call.required("corpid", 41002), call.required("corpsecret", 41004)
    apps = [app for app in world.apps.values() if app.corp_id == corp_id]
    app = next((app for app in apps if app.secret == secret), None)
    if app is None:
        world.token_refusals += 1
        raise Refused(40001, "invalid credential") if apps else Refused(40013, "invalid corpid")
    token = world.token_of(app, call.now)
    return ok(access_token=token.value, expires_in=max(int(token.expires_at - call.now), 1))


def get_corp_token(call: Call) -> Fields:
    """A suite's token of a corp; the app's secret is the permanent code. Only failures have an errcode. Doc 90605."""
    if call.query.get("suite_access_token") != SUITE_ACCESS_TOKEN:
        raise Refused(40082, "invalid suite_token")
    body = call.json("auth_corpid", "permanent_code")
    apps = [app for app in call.world.apps.values() if app.corp_id == body["auth_corpid"]]
    app = next((app for app in apps if app.secret == body["permanent_code"]), None)
    if app is None:
        call.world.token_refusals += 1
        raise Refused(40084, "invalid permanent_code") if apps else Refused(710000, "invalid open_corpid")
    token = call.world.token_of(app, call.now)
    return {"access_token": token.value, "expires_in": max(int(token.expires_at - call.now), 1)}


def send_welcome_msg(call: Call) -> Fields:
    """Doc 92137. The code is checked when the call arrives; the customer has the greeting when the answer is sent."""
    world, records = call.world, call.world.records
    told = greeting.read(
        call.body,
        usable=lambda media_id, type_: (
            (m := world.living(call.app, media_id, call.now)) is not None and m.type == type_
        ),
        uploaded=lambda url: url in call.corp.images,
    )
    record = call.record = records.by_code.get(told.welcome_code)
    if record is None or record.app != call.app.name:
        raise Refused(41050, "invalid welcome_code")
    if not call.corp.members.get(record.user_id, {}).get("licensed", True):
        raise Refused(701008, "no license")
    started = record.pushed_at
    if record.spent_at is not None or started is None or call.now - started > world.settings.window_s:
        raise Refused(41050, "invalid welcome_code")
    pair = record.user_id, record.external_user_id
    greeted_at = call.corp.greeted.get(pair)
    if greeted_at is not None:
        raise Refused(41051, "already chatting") if greeted_at <= call.now else Refused(41096, "welcome is being sent")

    record.spent_at, call.spent = call.now, True
    if told.warning:
        return {"errcode": 0, "errmsg": greeting.WARNING}
    call.corp.greeted[pair] = call.now + call.delay
    records.greet(record, call.now + call.delay, {"text": told.text, "attachments": told.attachments})
    return ok()


def get_callback_ips(_: Call) -> Fields:
    return ok(ip_list=["127.0.0.1", "101.226.103.*"])


def get_api_ips(_: Call) -> Fields:
    return ok(ip_list=["127.0.0.1"])


ROUTES: dict[str, Route] = {
    "gettoken": Route("GET", get_token, with_token=False),
    "service/get_corp_token": Route("POST", get_corp_token, with_token=False),
    SEND: Route("POST", send_welcome_msg),
    "getcallbackip": Route("GET", get_callback_ips),
    "get_api_domain_ip": Route("GET", get_api_ips),
    **customers.ROUTES,
    **contact_ways.ROUTES,
    **group_messages.ROUTES,
    **tags.ROUTES,
    **transfers.ROUTES,
    **group_chats.ROUTES,
    **welcomes.ROUTES,
    **acquisition.ROUTES,
    **media.ROUTES,
    **moments.ROUTES,
    **product_albums.ROUTES,
    **intercept_rules.ROUTES,
    **directory.ROUTES,
    **robots.ROUTES,
    **sign_in.ROUTES,
}
