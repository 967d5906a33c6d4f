"""GET and POST /callback: which answer WeCom gets, and what is stored before it gets it."""

import base64
import logging
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.events import ContactAdded
from tasks.ledger import celery_message
from tasks.reasons import Kind, Reason
from tasks.settings import read as read_settings
from tasks.storage import keys
from tests.support.builders import AES_KEY, CORP, ENVIRONMENT
from tests.support.pushes import ENVELOPE, TOKEN, Push, a_push, a_verification, an_event, as_json, sealed, signed, xml
from tests.support.web import Web, stored
from webhook.callback import refusals
from webhook.callback.crypto import Envelope, signature
from webhook.callback.parsing import BODY_LIMIT, parse, read_ciphertext

NOW = str(int(time.time()))
OTHER_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OTHER_TOKEN = Envelope.of("anotherToken", AES_KEY, CORP)
OTHER_CORP = Envelope.of(TOKEN, AES_KEY, "wwANOTHERCORP")
OTHER_AES_KEY = Envelope.of(TOKEN, OTHER_KEY, CORP)
NOTHING_RIGHT = Envelope.of("anotherToken", OTHER_KEY, "wwANOTHERCORP")


def a_group_chat(members: int) -> bytes:
    fields = xml({"MsgType": "event", "Event": "change_external_chat", "ChangeType": "update"})
    items = b"".join(b"<Item><![CDATA[wm%030d]]></Item>" % number for number in range(members))
    return fields.replace(b"</xml>", b"<MemChangeList>" + items + b"</MemChangeList></xml>")


def read(fields, app="default") -> ContactAdded:
    return parse(app, xml(fields))


# --- GET: the URL is verified


@pytest.mark.parametrize(
    "echo", [b"1616140317555161061", b"0", b"9" * 64, b"the-echo", b"rehearsal-0123456789abcdef", b"a_b.c~d="]
)
def test_the_echo_is_answered_byte_for_byte_and_nothing_else(web, echo):
    answer = web.get("/callback", a_verification(echo))
    assert (answer.status_code, answer.data) == (200, echo)
    assert answer.headers["Content-Length"] == str(len(echo))


def test_the_single_app_is_at_its_name_too(web):
    assert web.get("/callback/default", a_verification(b"echo")).data == b"echo"
    assert web.post(a_push(), "/callback/default").data == b"success"


def test_a_published_verification_is_answered(web):
    query = {
        "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
        "timestamp": "1409659589",
        "nonce": "263014780",
        "echostr": "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
    }
    assert web.get("/callback", query).data == b"1616140317555161061"


def with_a_plus() -> dict[str, str]:
    while "+" not in (query := a_verification(b"1616140317555161061"))["echostr"]:
        pass
    return query


def test_a_plus_that_became_a_space_is_repaired(web):
    query = with_a_plus()
    raw = "&".join(f"{name}={value}" for name, value in query.items())  # + not encoded: Flask reads a space
    assert web.get("/callback", raw).data == b"1616140317555161061"


def test_a_percent_encoded_plus_is_decoded_exactly_once(web):
    query = with_a_plus()
    twice = query | {"echostr": query["echostr"].replace("+", "%2B")}
    assert web.get("/callback", query).status_code == 200
    assert web.get("/callback", twice).status_code == 403


def test_a_repair_does_not_make_a_forgery_good(web):
    query = with_a_plus()
    forged = query | {"echostr": query["echostr"].replace("+", " "), "nonce": "0"}
    assert web.get("/callback", forged).status_code == 403


@pytest.mark.parametrize("missing", ["msg_signature", "timestamp", "nonce", "echostr"])
def test_a_verification_with_a_part_missing_is_refused(web, missing):
    query = a_verification(b"echo")
    del query[missing]
    answer = web.get("/callback", query)
    assert (answer.status_code, answer.data) == (403, b"forbidden")


def test_a_well_signed_echo_that_is_no_envelope_is_400(web):
    push = signed("AAAA")
    assert web.get("/callback", dict(push.query) | {"echostr": "AAAA"}).status_code == 400


def test_a_verification_stores_no_event(web):
    web.get("/callback", a_verification(xml(an_event())))
    web.get("/callback", a_verification(b"1616140317555161061"))
    assert stored(web.services.redis) == (0, 0, 0)
    assert web.counted() == {"forged": 1, "verified": 1}


@pytest.mark.parametrize("make", [lambda: a_push(), lambda: json_push(an_event())])
def test_a_captured_push_is_not_decrypted_for_whoever_sends_it_as_a_verification(web, make):
    push = make()
    captured = dict(push.query) | {"echostr": read_ciphertext(push.body)}
    answer = web.get("/callback", captured)
    assert (answer.status_code, answer.data) == (403, b"forbidden")
    with_blanks = captured | {"echostr": captured["echostr"].replace("+", " ")}
    assert web.get("/callback", with_blanks).data == b"forbidden"
    assert web.verdict() == Reason.of(Kind.NOT_AN_ECHO)
    assert not web.services.verifications.last("default").proven


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b" ",
        b"<x>",
        b"<xml/>",
        b"{}",
        b'{"a": 1}',
        b"\xef\xbb\xbf<xml/>",
        b" 1616140317555161061",
        b"1616140317555161061\n",
        b'"quoted"',
        b"\xff\x00\r\n",
        "您好".encode(),
        b"two words",
        b"9" * 65,
    ],
)
def test_what_is_no_echo_is_refused(web, message):
    answer = web.get("/callback", a_verification(message))
    assert (answer.status_code, answer.data) == (403, b"forbidden")


# --- POST: the table of answers


def large() -> Push:
    push = a_push()
    return Push(push.query, push.body + b" " * (BODY_LIMIT + 1 - len(push.body)))


ANSWERS = [
    # what                                            push                                       status, body, counted
    ("an added contact", a_push, 200, "stored"),
    ("in JSON", lambda: json_push(an_event()), 200, "stored"),
    ("without a code", lambda: a_push(xml(an_event(WelcomeCode=None))), 200, "stored"),
    ("a customer who left", lambda: a_push(xml(an_event(ChangeType="del_follow_user"))), 200, "changed"),
    ("an edited contact", lambda: a_push(xml(an_event(ChangeType="edit_external_contact"))), 200, "changed"),
    ("an unknown event", lambda: a_push(xml(an_event(Event="invented_next_year"))), 200, "ignored"),
    ("a group chat of 499", lambda: a_push(a_group_chat(499)), 200, "ignored"),
    ("a group chat of 1000", lambda: a_push(a_group_chat(1000)), 200, "ignored"),
    ("a group chat of 2000", lambda: a_push(a_group_chat(2000)), 200, "ignored"),
    ("a State cut inside a character", lambda: a_push(xml(an_event(State="渠")).replace(b"\xa0", b"")), 200, "stored"),
    ("a CreateTime in ms", lambda: a_push(xml(an_event(CreateTime=f"{int(time.time())}123"))), 200, "stored"),
    ("a text message", lambda: a_push(b"<xml><MsgType>text</MsgType></xml>"), 200, "ignored"),
    ("signed junk", lambda: signed("junk"), 400, "unreadable"),
    ("signed Base64 of junk", lambda: signed(base64.b64encode(b"x" * 64).decode()), 400, "unreadable"),
    ("another AES key", lambda: a_push(envelope=OTHER_AES_KEY), 400, "unreadable"),
    ("signed, no document inside", lambda: a_push(b"hello"), 400, "malformed"),
    ("signed, a DTD inside", lambda: a_push(b"<!DOCTYPE x []>" + xml(an_event())), 400, "malformed"),
    ("signed, no customer inside", lambda: a_push(xml(an_event(ExternalUserID=None))), 400, "malformed"),
    ("another token", lambda: a_push(envelope=OTHER_TOKEN), 403, "forged"),
    ("another corp", lambda: a_push(envelope=OTHER_CORP), 403, "forged"),
    ("another app altogether", lambda: a_push(envelope=NOTHING_RIGHT), 403, "forged"),
    ("no query", lambda: Push({}, a_push().body), 403, "forged"),
    ("another push's query", lambda: Push(a_push().query, a_push().body), 403, "forged"),
    ("no body", lambda: Push(a_push().query, b""), 403, "forged"),
    ("an outer DTD", lambda: Push(a_push().query, b"<!DOCTYPE x []>" + a_push().body), 403, "forged"),
    ("a body that is no document", lambda: Push(a_push().query, b"\xff\xfe junk"), 403, "forged"),
    ("an empty Encrypt", lambda: Push(a_push().query, b"<xml><Encrypt/></xml>"), 403, "forged"),
    ("signed emptiness", lambda: Push(signed("").query, b"<xml><Encrypt></Encrypt></xml>"), 403, "forged"),
]


def json_push(fields) -> Push:
    query, ciphertext = sealed(as_json(fields))
    return Push(query, as_json({"tousername": CORP, "encrypt": ciphertext, "agentid": "218"}))


@pytest.mark.parametrize(("push", "status", "result"), [pytest.param(*row[1:], id=row[0]) for row in ANSWERS])
def test_each_push_has_its_answer_and_is_counted(web, push, status, result):
    answer = web.post(push())
    assert answer.status_code == status
    assert web.counted() == {result: 1}
    assert stored(web.services.redis) == ((1, 1, 1) if result == "stored" else (0, 0, 0))
    if status == 200:
        assert answer.data == b"success"


REFUSALS = [pytest.param(row[1], id=row[0]) for row in ANSWERS if row[2] == 403]


@pytest.mark.parametrize("push", REFUSALS)
def test_every_refusal_is_the_same_bytes_and_headers(web, push):
    first = web.get("/callback")
    answer = web.post(push())
    assert (answer.status, answer.data, list(answer.headers)) == (first.status, first.data, list(first.headers))


def test_an_app_that_does_not_exist_is_404_whatever_is_sent(web):
    assert web.post(a_push(), "/callback/nobody").status_code == 404
    assert web.get("/callback/nobody", a_verification(b"echo")).status_code == 404
    assert web.post(a_push(), "/callback/nobody/").status_code == 404
    assert stored(web.services.redis) == (0, 0, 0)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_405(web, method):
    assert web.application.test_client().open("/callback", method=method).status_code == 405


def test_a_body_beyond_the_limit_is_413_before_it_is_parsed(web):
    assert web.post(large()).status_code == 413
    assert web.counted() == {}


def test_a_body_at_the_limit_is_read(web):
    push = a_push()
    assert web.post(Push(push.query, push.body + b" " * (BODY_LIMIT - len(push.body)))).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/xml",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "nonsense",
    ],
)
def test_the_content_type_does_not_matter(web, content_type):
    assert web.post(a_push(), content_type=content_type).data == b"success"
    assert web.post(json_push(an_event()), content_type=content_type).data == b"success"
    assert web.counted() == {"stored": 2}


def test_a_surrogate_in_the_unsigned_part_is_a_refusal(web):
    assert web.post(Push({}, b'{"Encrypt": "\\ud800"}')).status_code == 403
    assert web.post(Push(a_push().query, b'{"Encrypt": "%\\ud800"}')).status_code == 403


def test_half_a_surrogate_pair_in_a_signed_event_is_400(web):
    message = as_json(an_event(UserID="#")).replace(b'"#"', b'"\\ud800"')
    assert web.post(a_push(message)).status_code == 400


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(st.sampled_from(["msg_signature", "timestamp", "nonce", "echostr"]), st.text()),
    body=st.binary(),
)
def test_junk_is_refused_and_nothing_else(web, query, body):
    assert web.post(Push(query, body)).status_code == 403
    assert web.post(Push(query, xml({"Encrypt": "x"}) + body)).status_code == 403
    assert web.get("/callback", query).status_code == 403


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.binary(max_size=100))
def test_signed_junk_is_400_or_of_no_concern(web, message):
    assert web.post(a_push(message)).status_code in (200, 400)
    assert stored(web.services.redis) == (0, 0, 0)


def test_the_signature_is_checked_before_anything_is_decrypted(web, monkeypatch):
    opened = []
    monkeypatch.setattr(Envelope, "open", lambda _, ciphertext: opened.append(ciphertext))
    web.post(a_push(envelope=OTHER_TOKEN))
    web.get("/callback", a_verification(b"echo", OTHER_TOKEN))
    assert opened == []


# --- what is stored before the 200


def test_row_place_in_due_and_message_are_there_when_wecom_has_its_200(web, redis_client):
    fields = an_event(State="douyin-1")
    before = web.services.ledger.now()
    assert web.post(a_push(xml(fields))).data == b"success"
    event = read(fields)
    row = redis_client.hgetall(keys.event(event.id))
    received_at = int(row["received_at"])
    assert before <= received_at <= web.services.ledger.now()
    assert redis_client.zscore(keys.DUE, event.id) == redis_client.zscore(keys.EVENTS, event.id) == received_at
    assert redis_client.lrange(keys.QUEUE, 0, -1) == [celery_message.message(event.id)]
    assert row["welcome_code"] == fields["WelcomeCode"]
    assert (row["app"], row["change"], row["user_id"]) == ("default", "add", "zhangsan")
    assert (row["external_user_id"], row["state"]) == (event.external_user_id, "douyin-1")
    assert int(row["created_at"]) == event.created_at


def test_the_message_on_the_queue_holds_nothing_of_the_customer(web, redis_client):
    fields = an_event()
    web.post(a_push(xml(fields)))
    (message,) = redis_client.lrange(keys.QUEUE, 0, -1)
    for value in (fields["WelcomeCode"], fields["ExternalUserID"], fields["UserID"], CORP):
        assert value not in message


def test_the_hand_over_is_one_command_to_redis(web, redis_client):
    web.post(a_push())  # loads the script
    with redis_client.monitor() as monitor:
        web.post(a_push())
        redis_client.echo("end")
        commands = []
        while not (command := monitor.next_command())["command"].startswith("ECHO"):
            if command["client_type"] != "lua" and not command["command"].startswith("CLIENT"):  # this test connects
                commands.append(command["command"].split()[0])
    assert commands == ["EVALSHA"]


def test_a_re_sent_event_queues_nothing_and_is_counted(web, redis_client):
    message = xml(an_event())
    for _ in range(4):
        assert web.post(a_push(message)).data == b"success"  # each with a nonce and ciphertext of its own
    assert stored(redis_client) == (1, 1, 1)
    assert web.counted() == {"stored": 1, "duplicate": 3}
    (key,) = redis_client.keys(keys.event("*"))
    assert redis_client.hget(key, "resent") == "3"


def test_an_event_re_sent_byte_for_byte_is_accepted_too(web, redis_client):
    push = a_push()
    assert [web.post(push).status_code for _ in range(2)] == [200, 200]
    assert stored(redis_client) == (1, 1, 1)


def test_two_customers_of_one_member_in_the_same_second_are_both_stored(web, redis_client):
    second = str(int(time.time()))
    for customer in ("wm1", "wm2"):
        web.post(a_push(xml(an_event(ExternalUserID=customer, CreateTime=second))))
    assert stored(redis_client) == (2, 2, 2)


def test_a_customer_without_a_code_is_stored_like_any_other(web, redis_client):
    fields = an_event(WelcomeCode=None)
    web.post(a_push(xml(fields)))
    assert redis_client.hget(keys.event(read(fields).id), "welcome_code") == ""
    assert stored(redis_client) == (1, 1, 1)


@pytest.mark.parametrize(
    ("timestamp", "kept"),
    [(NOW, NOW), (f"{NOW}123", NOW), ("soon", None), ("-1", None), ("１", None)],
    ids=["seconds", "milliseconds", "a word", "before 1970", "a wide digit"],  # each process of a run has its own NOW
)
def test_the_signed_timestamp_is_kept_with_the_event(web, redis_client, timestamp, kept):
    fields = an_event()
    push = a_push(xml(fields))
    ciphertext = read_ciphertext(push.body)
    query = {"timestamp": timestamp, "nonce": "n", "msg_signature": signature(TOKEN, timestamp, "n", ciphertext)}
    assert web.post(Push(query, push.body)).status_code == 200
    assert redis_client.hget(keys.event(read(fields).id), "pushed_at") == kept


def test_a_rehearsal_is_what_the_signed_document_says(web, redis_client):
    fields = an_event(Rehearsal="1")
    web.post(a_push(xml(fields)))
    assert redis_client.hget(keys.event(read(fields).id), "rehearsal") == "1"


def test_nobody_makes_a_rehearsal_of_a_real_customer_from_outside_the_envelope(web, redis_client):
    fields = an_event()
    push = a_push(xml(fields))
    outside = Push(
        dict(push.query) | {"Rehearsal": "1"}, push.body.replace(b"</xml>", b"<Rehearsal>1</Rehearsal></xml>")
    )
    web.post(outside, headers={"Rehearsal": "1"})
    assert redis_client.hget(keys.event(read(fields).id), "rehearsal") == "0"


def test_the_ids_outside_the_envelope_are_not_believed(web, redis_client):
    fields = an_event()
    push = a_push(xml(fields))
    web.post(
        Push(push.query, push.body.replace(b"</xml>", b"<UserID>lisi</UserID></xml>").replace(CORP.encode(), b"x"))
    )
    row = redis_client.hgetall(keys.event(read(fields).id))
    assert (row["user_id"], row["corp_id"]) == ("zhangsan", CORP)


# --- several apps


@pytest.fixture
def two_apps(tmp_path, redis_url):
    (tmp_path / "apps.toml").write_text(
        f'''
        [apps.sales]
        corp_id = "{CORP}"
        secret = "secret-of-sales"
        token = "{TOKEN}"
        encoding_aes_key = "{AES_KEY}"
        [apps.service]
        corp_id = "wwANOTHERCORP"
        secret = "secret-of-service"
        token = "anotherToken"
        encoding_aes_key = "{OTHER_KEY}"
        '''
    )
    return Web(read_settings({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url}, tmp_path))


def test_each_app_has_a_callback_of_its_own(two_apps, redis_client):
    fields = an_event()
    assert two_apps.post(a_push(xml(fields)), "/callback/sales").status_code == 200
    assert two_apps.get("/callback/service", a_verification(b"echo", NOTHING_RIGHT)).data == b"echo"
    assert redis_client.hget(keys.event(read(fields, "sales").id), "app") == "sales"


def test_an_apps_push_is_refused_at_another_apps_callback(two_apps):
    assert two_apps.post(a_push(), "/callback/service").status_code == 403
    assert two_apps.get("/callback/sales", a_verification(b"echo", NOTHING_RIGHT)).status_code == 403


def test_where_no_app_is_called_default_the_bare_callback_is_404(two_apps):
    assert two_apps.post(a_push()).status_code == 404


def test_the_same_customer_added_under_two_apps_is_two_events(redis_url, tmp_path, redis_client):
    table = f'corp_id = "{CORP}"\nsecret = "s"\ntoken = "{TOKEN}"\nencoding_aes_key = "{AES_KEY}"\n'
    (tmp_path / "apps.toml").write_text(f"[apps.a]\n{table}[apps.b]\n{table}")
    web = Web(read_settings({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url}, tmp_path))
    push = a_push()
    assert [web.post(push, f"/callback/{app}").status_code for app in ("a", "b")] == [200, 200]
    assert stored(redis_client)[0] == 2


# --- logs


def test_no_log_line_holds_a_secret_a_code_a_token_or_a_body(web, caplog, monkeypatch):
    monkeypatch.setattr(refusals, "INTERVAL", 0)
    caplog.set_level(logging.DEBUG)
    sent = []
    for _, make, _, _ in ANSWERS:
        sent.append(make())
        web.post(sent[-1])
        web.post(sent[-1])
    verifications = [a_verification(b"the-echo", envelope) for envelope in (ENVELOPE, OTHER_TOKEN, OTHER_AES_KEY)]
    for query in verifications:
        web.get("/callback", query)
    web.post(large())
    web.post(a_push(), "/callback/nobody")
    lines = caplog.text + repr([record.__dict__ for record in caplog.records])
    assert len(caplog.records) > 2 * len([row for row in ANSWERS if row[3] != "ignored"])  # it was not silent
    secrets = {TOKEN, AES_KEY, ENVIRONMENT["WECOM_CORP_SECRET"], "anotherToken", OTHER_KEY, "the-echo"}
    secrets |= {value for query in verifications for value in (query["echostr"], query["msg_signature"])}
    secrets |= {push.query["msg_signature"] for push in sent if push.query}
    secrets |= {text.decode() for push in sent for text in re.findall(rb"[\w+/]{40,}", push.body)}
    secrets |= {row["welcome_code"] for key in keys_of(web) if (row := web.services.redis.hgetall(key))["welcome_code"]}
    assert len(secrets) > 50
    for secret in secrets:
        assert secret not in lines


def keys_of(web: Web) -> list[str]:
    return web.services.redis.keys(keys.event("*"))


def test_no_repr_of_the_web_side_shows_a_secret(web):
    shown = repr(web.services.settings) + repr(web.services.clients) + repr(ENVELOPE)
    assert CORP in shown
    for secret in (TOKEN, AES_KEY, ENVIRONMENT["WECOM_CORP_SECRET"]):
        assert secret not in shown
