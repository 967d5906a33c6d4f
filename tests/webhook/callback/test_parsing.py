"""Documents become events: which, by what names, and that nothing else than Malformed comes of the rest."""

import contextlib
import json
import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.events import BY_TRANSFER, EDITED, LEFT, NOT_TRANSFERRED, REMOVED, ContactAdded, ContactChanged
from tests.support.builders import CORP
from tests.support.pushes import an_event, as_json, xml
from webhook.callback.parsing import (
    BODY_LIMIT,
    DEPTH_LIMIT,
    ELEMENT_LIMIT,
    TEXT_LIMIT,
    Malformed,
    Unknown,
    parse,
    read_ciphertext,
)

CODE = "CODE-of-43-characters-CODE-of-43-characters"
SECOND = "1700000000"
ADDED = ContactAdded(
    app="sales",
    corp_id=CORP,
    change="add",
    user_id="zhangsan",
    external_user_id="wm1",
    created_at=int(SECOND),
    welcome_code=CODE,
    state="douyin-1",
)
both_forms = pytest.mark.parametrize("write", [xml, as_json])


def the_event(**different):
    plain = {"ExternalUserID": "wm1", "CreateTime": SECOND, "WelcomeCode": CODE, "State": "douyin-1"}
    return an_event(**plain | different)


# --- what is understood


@both_forms
def test_an_added_contact_is_read(write):
    assert parse("sales", write(the_event())) == ADDED


def test_a_real_push_with_cdata_and_line_breaks_is_read():
    document = f"""<xml>
  <ToUserName><![CDATA[{CORP}]]></ToUserName>
  <FromUserName><![CDATA[sys]]></FromUserName>
  <CreateTime>{SECOND}</CreateTime>
  <MsgType><![CDATA[event]]></MsgType>
  <Event><![CDATA[change_external_contact]]></Event>
  <ChangeType><![CDATA[add_external_contact]]></ChangeType>
  <UserID><![CDATA[zhangsan]]></UserID>
  <ExternalUserID><![CDATA[wm1]]></ExternalUserID>
  <State><![CDATA[douyin-1]]></State>
  <WelcomeCode><![CDATA[{CODE}]]></WelcomeCode>
</xml>
"""
    assert parse("sales", document.encode()) == ADDED


@pytest.mark.parametrize(
    ("change_type", "change"),
    [
        ("add_external_contact", "add"),
        ("add_half_external_contact", "half_add"),
        ("msg_audit_approved", "audit_approved"),
    ],
)
def test_three_change_types_may_carry_a_welcome_code(change_type, change):
    event = parse("sales", xml(the_event(ChangeType=change_type)))
    assert (event.change, event.welcome_code) == (change, CODE)


@both_forms
@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(("element", "field"), [("WelcomeCode", "welcome_code"), ("State", "state")])
def test_a_code_or_state_that_is_missing_or_empty_is_no_error(write, element, field, value):
    assert getattr(parse("sales", write(the_event(**{element: value}))), field) == ""


@both_forms
@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("element", ["ToUserName", "UserID", "ExternalUserID", "CreateTime"])
def test_without_its_ids_or_time_an_added_contact_is_malformed(write, element, value):
    with pytest.raises(Malformed):
        parse("sales", write(the_event(**{element: value})))


def test_json_may_have_keys_of_any_case_and_numbers():
    fields = {name.lower(): value for name, value in the_event().items()} | {"createtime": int(SECOND)}
    assert parse("sales", json.dumps(fields).encode()) == ADDED


@pytest.mark.parametrize(
    "value",
    [
        1700000000.75,
        1.7e9,
        1700000000123,
        1700000000123456789,
        "1700000000.75",
        "1700000000.",
        "1700000000123",
        "1700000000123.5",
        "1700000000123456",
        "1700000000123456789",
        "1.7E9",
        "1.7e+09",
        " 1700000000 ",
        "\u3000\t1700000000\n",
        "01700000000",
    ],
)
def test_a_create_time_is_read_however_it_is_written(value):
    assert parse("sales", json.dumps(the_event() | {"CreateTime": value}).encode()).created_at == int(SECOND)
    if isinstance(value, str):
        assert parse("sales", xml(the_event(CreateTime=value))).created_at == int(SECOND)


@pytest.mark.parametrize("digits", range(1, 21))
def test_a_create_time_is_one_that_a_calendar_has(digits):
    event = parse("sales", xml(the_event(CreateTime="9" * digits)))
    assert datetime.fromtimestamp(event.created_at, UTC).year < 5139


@pytest.mark.parametrize(
    "value",
    [True, None, [], {}, ["1"], -1.5, "-1", "+1", "1e-3", ".5", "١", "1 7", "0x10", "9" * 21, "1e999", "nan", "soon"],
)
def test_a_create_time_that_is_no_time_is_malformed(value):
    with pytest.raises(Malformed):
        parse("sales", json.dumps(the_event() | {"CreateTime": value}).encode())


@pytest.mark.parametrize("state", ["渠道🎉", "a&b<c>", "]]>", "wb:1:4285486", "\t", "%2B+ "])
def test_a_state_is_what_the_channel_says(state):
    assert parse("sales", xml(the_event(State=state))).state == state.strip()


@pytest.mark.parametrize("value", [True, None, 1.5, {}, ["x"]])
def test_what_is_neither_text_nor_a_whole_number_in_json_is_as_if_missing(value):
    assert parse("sales", json.dumps(the_event() | {"State": value}).encode()).state == ""


def test_only_the_children_of_the_root_count():
    nested = b"<Item><UserID>lisi</UserID><Event>x</Event></Item>"
    assert parse("sales", xml(the_event()).replace(b"</xml>", nested + b"</xml>")) == ADDED
    assert parse("sales", json.dumps(the_event() | {"Item": {"UserID": "lisi"}}).encode()) == ADDED


def test_text_around_a_nested_element_is_not_taken_for_a_value():
    event = parse("sales", xml(the_event(State=None)).replace(b"</xml>", b"<State>a<b>secret</b>c</State></xml>"))
    assert "secret" not in event.state


# --- a flaw in a part that hardly matters loses nobody


def cut_to(text: str, limit: int) -> bytes:
    """As WeCom cuts a State: at a byte."""
    return text.encode()[:limit]


@pytest.mark.parametrize("envelope", ["<State>%s</State>", "<State><![CDATA[%s]]></State>"])
@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (cut_to("渠道" * 11, 64), "渠道" * 10 + "渠"),
        (cut_to("渠道" * 11, 65), "渠道" * 10 + "渠"),
        (cut_to("渠道" * 11, 63), "渠道" * 10 + "渠"),
        (cut_to("a🎉", 2), "a"),
        (cut_to("a🎉", 4), "a"),
        (cut_to("🎉", 3), ""),
        (cut_to("é", 1), ""),
        ("渠道\ufffd".encode(), "渠道"),  # by whoever came before us
        (b"douyin\x801", "douyin\ufffd1"),  # not at the end: it is not what was cut
        (b"douyin-1\x01\x1f", "douyin-1"),
        ("douyin-1\ufffe\uffff".encode(), "douyin-1"),
        (b"\xed\xa0\xbc", ""),  # half a pair of UTF-16
    ],
)
def test_a_state_that_was_cut_inside_a_character_is_kept_without_its_end(envelope, state, kept):
    document = xml(the_event(State="STATE")).replace(b"<State>STATE</State>", envelope.encode() % state)
    event = parse("sales", document)
    assert (event.state, event.welcome_code, event.user_id) == (kept, CODE, "zhangsan")
    assert event.id == ADDED.id
    as_json_too = as_json(the_event(State="STATE")).replace(b"STATE", state)
    assert parse("sales", as_json_too).state == kept


@pytest.mark.parametrize("spelt", ["\\ud83c", "\\ud83c\\ud83c", "\\udf89", "\\u0000", "\\u001f"])
def test_half_a_surrogate_pair_at_the_end_of_a_state_in_json_goes(spelt):
    document = as_json(the_event(State="STATE")).replace(b"STATE", b"douyin-1" + spelt.encode())
    assert parse("sales", document) == ADDED


@pytest.mark.parametrize("element", ["UserID", "ExternalUserID", "WelcomeCode", "ToUserName"])
@pytest.mark.parametrize("broken", [b"\xe6\xb8", b"\xff", "\ufffd".encode()])
def test_a_broken_id_or_code_is_malformed(element, broken):
    with pytest.raises(Malformed):
        parse("sales", xml(the_event(**{element: "BROKEN"})).replace(b"BROKEN", b"a" + broken))


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("gbk", "gbk"), ("GB2312", "gbk"), ("gb18030", "gb18030"), ("Big5", "big5"), ("gbk", "utf-8"), ("utf-8", "utf-8")],
)
@pytest.mark.parametrize("quote", "'\"")
def test_text_in_the_encoding_that_it_declares_is_read(declared, encoding, quote):
    head = f"<?xml version={quote}1.0{quote} encoding={quote}{declared}{quote}?>"
    document = head + xml(the_event(UserID="員工", State="地下城")).decode()
    event = parse("sales", document.encode(encoding))
    assert (event.user_id, event.state) == ("員工", "地下城")


@pytest.mark.parametrize(
    "state", ["&#x6E20;&#36947;", "<![CDATA[渠]]><![CDATA[道]]>", "渠<!-- x -->道", "<![CDATA[渠]]>道", "  渠道\n"]
)
def test_a_state_is_the_same_however_it_is_spelt(state):
    document = xml(the_event(State="STATE")).replace(b"STATE", state.encode())
    assert parse("sales", document).state == "渠道"


@pytest.mark.parametrize(
    "empty", ["<State/>", "<State></State>", "<State><![CDATA[]]></State>", "<State> </State>", ""]
)
@pytest.mark.parametrize("unknown", ["", "<New/>", "<New a='b'>x</New>", "<New><Deep><er>x</er></Deep></New>"])
def test_empty_and_unknown_elements_are_no_error(empty, unknown):
    document = xml(the_event(State="STATE")).replace(b"<State>STATE</State>", (empty + unknown).encode())
    assert parse("sales", document).state == ""


# --- large events of other kinds


def a_group_chat(members: int, item: str = "<Item><![CDATA[%s]]></Item>") -> bytes:
    """A change_external_chat with a list of the members it is about. Doc 92130."""
    items = "".join(item % f"wm{number:030d}" for number in range(members))
    fields = {"ToUserName": CORP, "FromUserName": "sys", "CreateTime": SECOND, "MsgType": "event"}
    fields |= {"Event": "change_external_chat", "ChangeType": "update", "ChatId": "wr1", "UpdateDetail": "add_member"}
    return xml(fields).replace(b"</xml>", f"<MemChangeList>{items}</MemChangeList></xml>".encode())


@pytest.mark.parametrize("members", [0, 1, 498, 499, 500, 1000, 2000])
@pytest.mark.parametrize(
    "item",
    ["<Item><![CDATA[%s]]></Item>", "<Item><UserId>%s</UserId><Type>2</Type></Item>", f"<Item>{'x' * 32}%s</Item>"],
)
def test_a_large_event_of_another_kind_is_unknown(members, item):
    assert parse("sales", a_group_chat(members, item)) == Unknown("change_external_chat", "update")


def test_the_largest_event_that_the_facts_allow_fits_into_a_body():
    longest = a_group_chat(2000, "<Item><![CDATA[%s" + "x" * 32 + "]]></Item>")
    assert len(longest) * 4 / 3 < BODY_LIMIT / 2


def test_a_contact_is_added_whatever_else_the_event_holds():
    items = b"<MemChangeList>" + b"<Item>x</Item>" * 3000 + b"</MemChangeList>"
    assert parse("sales", xml(the_event()).replace(b"</xml>", items + b"</xml>")) == ADDED


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"<xml>" + b"<a/>" * (BODY_LIMIT // 5), id="elements"),
        pytest.param(b"<xml " + b" ".join(b"a%d=''" % n for n in range(BODY_LIMIT // 12)) + b"/>", id="attributes"),
        pytest.param(b"<xml><a>" + b"&lt;" * (BODY_LIMIT // 5) + b"</a></xml>", id="references"),
        pytest.param(b"<xml><!--" + b"-x" * (BODY_LIMIT // 3), id="unfinished-comment"),
        pytest.param(b"<xml><![CDATA[" + b"]]" * (BODY_LIMIT // 3), id="unfinished-cdata"),
        pytest.param(b"<" + b"x" * (BODY_LIMIT - 9), id="unfinished-name"),
        pytest.param(b"\xff" * (BODY_LIMIT - 9), id="no-utf-8"),
        pytest.param(b'{"a":[' + b"1," * (BODY_LIMIT // 3), id="json"),
    ],
)
def test_the_largest_body_costs_little_time(document):
    for read in (read_ciphertext, lambda body: parse("sales", body)):
        began = time.process_time()
        with contextlib.suppress(Malformed):
            read(document)
        assert time.process_time() - began < 1.0  # some hundredths, on a machine that does nothing else


# --- (Event, ChangeType): both


@pytest.mark.parametrize(
    ("change", "more", "detail"),
    [
        (LEFT, {}, ""),
        (EDITED, {"State": "douyin"}, ""),
        (REMOVED, {}, ""),
        (REMOVED, {"Source": BY_TRANSFER}, BY_TRANSFER),
        (NOT_TRANSFERRED, {"FailReason": "customer_refused"}, "customer_refused"),
        (NOT_TRANSFERRED, {"FailReason": "x" * 999}, "x" * 64),
    ],
)
def test_what_becomes_of_a_contact_later_is_read(change, more, detail):
    got = parse("sales", xml(the_event(ChangeType=change, WelcomeCode=None, **more)), 1700000003)
    assert isinstance(got, ContactChanged)
    assert (got.change, got.detail, got.created_at, got.pushed_at) == (change, detail, 1700000000, 1700000003)
    assert (got.user_id, got.external_user_id) == ("zhangsan", "wm1")


@pytest.mark.parametrize("without", ["UserID", "ExternalUserID", "CreateTime", "ToUserName"])
def test_a_change_of_nobody_or_of_no_time_is_malformed(without):
    with pytest.raises(Malformed):
        parse("sales", xml(the_event(ChangeType=LEFT, **{without: None})))


@pytest.mark.parametrize(
    ("event", "change_type"),
    [
        ("customer_acquisition", "del_follow_user"),
        ("customer_acquisition", "add_external_contact"),
        ("change_external_chat", "add_external_contact"),
        ("change_external_contact", "ADD_EXTERNAL_CONTACT"),
        ("change_external_contact", "invented_next_year"),
        ("invented_next_year", "add_external_contact"),
        ("", "add_external_contact"),
        ("change_external_contact", ""),
    ],
)
def test_what_this_product_does_not_act_on_is_unknown_not_malformed(event, change_type):
    got = parse("sales", xml(the_event(Event=event, ChangeType=change_type)))
    assert got == Unknown(event or "event", change_type)


def test_an_unknown_event_needs_no_ids():
    assert parse("sales", b"<xml><MsgType>text</MsgType></xml>") == Unknown("text", "")
    assert parse("sales", b"<xml/>") == Unknown("", "")
    assert parse("sales", b"{}") == Unknown("", "")


def test_a_published_text_message_is_unknown():
    message = b"<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hello]]></Content></xml>"
    assert parse("sales", message) == Unknown("text", "")


# --- what is refused


def with_dtd(subset: str, value: str = "x") -> bytes:
    return f"<!DOCTYPE xml [{subset}]><xml><Encrypt>{value}</Encrypt></xml>".encode()


LAUGHS = '<!ENTITY a "ha">' + "".join(f'<!ENTITY {b} "{10 * f"&{a};"}">' for a, b in pairwise("abcdefghi"))
DEEP = b"<xml>" + b"<a>" * DEPTH_LIMIT + b"</a>" * DEPTH_LIMIT + b"</xml>"
WIDE = b"<xml>" + b"<a/>" * ELEMENT_LIMIT + b"</xml>"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"  \n", id="blank"),
        pytest.param(b"success", id="text"),
        pytest.param(b"<xml>", id="cut"),
        pytest.param(b"<xml></XML>", id="mismatch"),
        pytest.param(b"<xml/><xml/>", id="two-roots"),
        pytest.param(b"<xml/>trailing", id="trailing"),
        pytest.param(with_dtd(""), id="dtd"),
        pytest.param(b'<!DOCTYPE xml SYSTEM "file:///etc/passwd"><xml/>', id="external-dtd"),
        pytest.param(b'<!DOCTYPE xml PUBLIC "-//x" "http://127.0.0.1/x"><xml/>', id="public-dtd"),
        pytest.param(with_dtd('<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;"), id="external-entity"),
        pytest.param(with_dtd('<!ENTITY % x SYSTEM "file:///etc/passwd">%x;'), id="parameter-entity"),
        pytest.param(with_dtd(LAUGHS, "&i;"), id="billion-laughs"),
        pytest.param(b"<xml><Encrypt>&nbsp;</Encrypt></xml>", id="undeclared-entity"),
        pytest.param(b"<xml><Encrypt>&#0;</Encrypt></xml>", id="nul-by-number"),
        pytest.param(b"<xml><Encrypt>a\0b</Encrypt></xml>", id="nul"),
        pytest.param(DEEP, id="deep"),
        pytest.param(b"<a>" * 10_000, id="very-deep"),
        pytest.param(b"<xml>" + b"x" * BODY_LIMIT + b"</xml>", id="large"),
        pytest.param("<xml><Encrypt>x</Encrypt></xml>".encode("utf-16"), id="utf-16"),
        pytest.param("<xml><Encrypt>x</Encrypt></xml>".encode("utf-32"), id="utf-32"),
        pytest.param(b"{", id="json-cut"),
        pytest.param(b'{"Encrypt": "x"} {}', id="json-trailing"),
        pytest.param(b'{"a":' * 5_000, id="json-deep"),
        pytest.param(b'{"a":' + b"[" * 60_000, id="json-very-deep"),
        pytest.param(b'{"CreateTime":' + b"9" * 5_000 + b"}", id="json-number-without-end"),
        pytest.param(b'{"a": "' + b"x" * BODY_LIMIT + b'"}', id="json-large"),
        pytest.param(b"[]", id="json-list"),
        pytest.param(b'"x"', id="json-text"),
    ],
)
def test_what_wecom_does_not_send_is_malformed(document):
    for read in (read_ciphertext, lambda body: parse("sales", body)):
        with pytest.raises(Malformed):
            read(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(WIDE, id="wide"),
        pytest.param("<xml><Encrypt>密</Encrypt></xml>".encode("gbk"), id="gbk"),
        pytest.param("<?xml version='1.0' encoding='gbk'?><xml>密</xml>".encode("gbk"), id="gbk-declared"),
        pytest.param("<?xml version='1.0' encoding='latin-1'?><xml>é</xml>".encode("latin-1"), id="latin-1"),
        pytest.param(b"<xml><Encrypt>\xed\xa0\x80</Encrypt></xml>", id="surrogate"),
        pytest.param('{"Encrypt": "密"}'.encode("gbk"), id="json-gbk"),
    ],
)
def test_what_nobody_has_signed_is_taken_strictly_and_what_wecom_signed_is_not(document):
    with pytest.raises(Malformed):
        read_ciphertext(document)
    assert isinstance(parse("sales", document), Unknown)


@pytest.mark.parametrize(("write", "encoding"), [(xml, "utf-16-le"), (xml, "utf-16-be"), (as_json, "utf-16-le")])
def test_utf_16_without_a_mark_is_malformed(write, encoding):
    with pytest.raises(Malformed):
        read_ciphertext(write({"Encrypt": "x"}).decode().encode(encoding))


@pytest.mark.parametrize("element", ["ToUserName", "UserID", "ExternalUserID", "WelcomeCode"])
def test_half_a_surrogate_pair_is_malformed(element):
    with pytest.raises(Malformed):
        parse("sales", json.dumps(the_event() | {element: "\ud83c"}).encode())


def test_a_nul_in_json_is_malformed_and_cannot_make_two_customers_one():
    one = the_event() | {"UserID": "a", "ExternalUserID": "b\0c"}
    other = the_event() | {"UserID": "a\0b", "ExternalUserID": "c"}
    with contextlib.suppress(Malformed):
        assert parse("sales", as_json(one)).id != parse("sales", as_json(other)).id
        pytest.fail("NUL was taken")


def test_a_declared_encoding_is_not_believed():
    declared = b"<?xml version='1.0' encoding='latin-1'?>" + xml(the_event(State="渠道"))
    assert parse("sales", declared).state == "渠道"


def test_a_byte_order_mark_and_blanks_before_the_root_are_forgiven():
    for write in (xml, as_json):
        assert parse("sales", b"\xef\xbb\xbf \r\n" + write(the_event())) == ADDED


@pytest.mark.parametrize(
    ("element", "limit"),
    [
        ("UserID", 64),  # doc 90196
        ("ExternalUserID", TEXT_LIMIT),
        ("ToUserName", TEXT_LIMIT),
        ("State", TEXT_LIMIT),
        ("WelcomeCode", TEXT_LIMIT),
    ],
)
def test_limits_count_bytes(element, limit):
    parse("sales", xml(the_event(**{element: "x" * limit})))
    for value in ("x" * (limit + 1), "张" * (limit // 3 + 1)):
        with pytest.raises(Malformed):
            parse("sales", xml(the_event(**{element: value})))


def test_as_many_elements_and_as_deep_as_the_limits_allow():
    parse("sales", WIDE.replace(b"<a/>", b"", 1))
    parse("sales", DEEP.replace(b"<a>", b"", 1).replace(b"</a>", b"", 1))


@given(document=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_junk_is_malformed_or_unknown_and_nothing_else(document):
    for before in (b"", b"<xml>", b'{"'):
        for read in (read_ciphertext, lambda body: parse("sales", body)):
            with contextlib.suppress(Malformed):
                read(before + document)


PIECES = (
    "<xml> </xml> <Encrypt> </Encrypt> <a> </a> <![CDATA[ ]]> <!-- --> <?x?> <!DOCTYPE &amp; &#x1F389; & 张三 \0 \ufeff"
)
markup = st.lists(st.sampled_from([*PIECES.split(" "), *'"{}:,[]', '"a"', "\\u0041"]), max_size=25).map("".join)


@given(document=markup)
def test_pieces_of_documents_are_malformed_or_read_and_nothing_else(document):
    for text in (document, f"<xml>{document}</xml>", f"{{{document}}}"):
        for read in (read_ciphertext, lambda body: parse("sales", body)):
            with contextlib.suppress(Malformed):
                read(text.encode())


characters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn"))
printable = st.text(characters, min_size=1, max_size=15)
short = st.text(characters, min_size=1, max_size=7)


@given(user=printable, customer=printable, state=printable)
def test_xml_and_json_of_the_same_event_are_the_same_event(user, customer, state):
    fields = the_event(UserID=user, ExternalUserID=customer, State=state)
    if all(value == value.strip() for value in fields.values()):
        assert parse("sales", xml(fields)) == parse("sales", as_json(fields))


@pytest.mark.parametrize("different", [{"CreateTime": "秘密"}, {"UserID": "密" * 99}, {"State": "密" * 999}], ids=str)
def test_an_error_says_nothing_of_what_was_sent(different):
    fields = the_event(**different)
    with pytest.raises(Malformed) as malformed:
        parse("sales", xml(fields))
    for value in (CODE, "wm1", "密"):
        assert value not in str(malformed.value)


# --- the ciphertext of the outer document


@pytest.mark.parametrize(
    "body",
    [
        b"<xml><ToUserName>ww1</ToUserName><Encrypt><![CDATA[abc+/=]]></Encrypt><AgentID>1</AgentID></xml>",
        b"<xml><Encrypt>\n  abc+/=\n</Encrypt></xml>",
        b"<?xml version='1.0'?><!-- x --><any><Encrypt>abc+/=</Encrypt></any>",
        b'{"ToUserName": "ww1", "Encrypt": "abc+/=", "AgentID": 218}',
        b'{"tousername": "ww1", "encrypt": "abc+\\/=", "agentid": "218"}',
    ],
)
def test_the_ciphertext_is_found_in_every_published_shape(body):
    assert read_ciphertext(body) == "abc+/="


@pytest.mark.parametrize(
    "body",
    [b"<xml/>", b"<xml><Encrypt/></xml>", b"<Encrypt>x</Encrypt>", b"{}", b'{"Encrypt": []}', b'{"Encrypt": ""}'],
)
def test_without_a_ciphertext_the_body_is_malformed(body):
    with pytest.raises(Malformed):
        read_ciphertext(body)


# --- the event's id


def test_an_events_id_is_32_hex_digits_and_the_same_when_wecom_sends_it_again():
    first, again = parse("sales", xml(the_event())), parse("sales", as_json(the_event()))
    assert first.id == again.id
    assert len(first.id) == 32
    assert int(first.id, 16)


def test_two_customers_of_one_member_in_the_same_second_are_two_events():
    assert parse("sales", xml(the_event(ExternalUserID="wm2"))).id != ADDED.id


@pytest.mark.parametrize(
    "different",
    [
        {"UserID": "lisi"},
        {"ExternalUserID": "wm2"},
        {"CreateTime": str(int(SECOND) + 1)},
        {"ChangeType": "add_half_external_contact"},
        {"WelcomeCode": CODE[::-1]},
        {"WelcomeCode": None},
        {"ToUserName": "ww-another-corp"},
    ],
    ids=str,
)
def test_each_part_that_tells_adds_apart_is_in_the_id(different):
    assert parse("sales", xml(the_event(**different))).id != ADDED.id


def test_two_apps_greet_each_for_itself():
    assert parse("service", xml(the_event())).id != ADDED.id


@pytest.mark.parametrize("different", [{"State": "other"}, {"AgentID": "7"}, {"FromUserName": "x"}, {"Rehearsal": "1"}])
def test_what_does_not_tell_adds_apart_is_not_in_the_id(different):
    assert parse("sales", xml(the_event(**different))).id == ADDED.id


@given(left=short, right=short)
def test_parts_of_an_id_do_not_run_into_each_other(left, right):
    one = parse("sales", as_json(the_event(UserID=left + right, ExternalUserID="x")))
    other = parse("sales", as_json(the_event(UserID=left, ExternalUserID=right + "x")))
    assert one.id != other.id


def test_neither_an_id_nor_a_repr_holds_the_welcome_code():
    assert CODE not in ADDED.id
    assert CODE not in repr(ADDED)
    assert ADDED.id != parse("sales", xml(the_event(WelcomeCode=None))).id


@pytest.mark.parametrize(("value", "is_one"), [("1", True), (None, False), ("", False), ("0", False), ("true", False)])
def test_a_rehearsal_says_so_with_a_1(value, is_one):
    assert parse("sales", xml(the_event(Rehearsal=value))).rehearsal is is_one
