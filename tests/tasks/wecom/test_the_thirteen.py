"""The client keeps the contract of its predecessor: thirteen calls, as wechatpy 1.8.18 sends them."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from wechatpy.enterprise import WeChatClient

from tasks.wecom import WeComClient
from tasks.wecom.external_contact import ExternalContact
from tests.support.recording import Recorder

NOTHING = inspect.Parameter.empty
CONTRACT: dict[str, dict[str, Any]] = {  # method → parameter → default
    "get_follow_user_list": {},
    "list": {"userid": NOTHING},
    "get": {"external_userid": NOTHING},
    "add_contact_way": {
        "type": NOTHING,
        "scene": NOTHING,
        "style": None,
        "remark": None,
        "skip_verify": True,
        "state": None,
        "user": None,
        "party": None,
    },
    "get_contact_way": {"config_id": NOTHING},
    "update_contact_way": {
        "config_id": NOTHING,
        "remark": NOTHING,
        "skip_verify": True,
        "style": None,
        "state": None,
        "user": None,
        "party": None,
    },
    "del_contact_way": {"config_id": NOTHING},
    "add_msg_template": {"template": NOTHING},
    "get_group_msg_result": {"msgid": NOTHING},
    "get_user_behavior_data": {"userid": NOTHING, "start_time": NOTHING, "end_time": NOTHING},
    "send_welcome_msg": {"template": NOTHING},
    "get_unassigned_list": {"page_id": NOTHING, "page_size": NOTHING},
    "transfer": {"external_userid": NOTHING, "handover_userid": NOTHING, "takeover_userid": NOTHING},
}

# ------------------------------------------------------------------------------------------------ arguments

text = st.text(st.characters(codec="utf-8"), max_size=40)
ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
short = st.text(st.characters(codec="utf-8"), max_size=30)
maybe_short = st.none() | short
numbers = st.integers(0, 2**31)
flags = st.booleans()
members = st.lists(ids, min_size=1, max_size=5)
parties = st.none() | st.lists(numbers, max_size=5)

link = st.fixed_dictionaries({"title": ids, "url": ids}, optional={"desc": text, "picurl": text, "unknown": text})
image = st.fixed_dictionaries({"media_id": ids})
program = st.fixed_dictionaries(
    {"title": st.text(min_size=1, max_size=16), "pic_media_id": ids, "appid": ids, "page": ids}
)
items = {"image": image, "link": link, "miniprogram": program, "video": image, "file": image}
attachments = st.lists(
    st.sampled_from(list(items)).flatmap(lambda kind: items[kind].map(lambda value: {"msgtype": kind, kind: value})),
    max_size=9,
)
said = st.fixed_dictionaries({"text": st.fixed_dictionaries({"content": ids})})
content = st.builds(
    lambda text, beside: text | beside,
    said,
    st.one_of(
        st.fixed_dictionaries({"attachments": attachments}),
        st.fixed_dictionaries({}, optional={"image": image, "link": link, "miniprogram": program}),
    ),
)
welcome = st.builds(lambda code, body: {"welcome_code": code} | body, ids, content)
group_message = st.builds(
    lambda whom, body: whom | body,
    st.fixed_dictionaries({"sender": ids}, optional={"external_userid": st.lists(ids, max_size=5), "x": numbers}),
    content,
)


def way(single: bool) -> SearchStrategy[tuple[Any, ...]]:
    """Arguments of add_contact_way, for one member or for several."""
    user = st.lists(ids, min_size=1, max_size=1) if single else st.none() | members
    scene, style = st.sampled_from([1, 2]), st.none() | numbers
    return st.tuples(st.just(1 if single else 2), scene, style, maybe_short, flags, maybe_short, user, parties)


ARGUMENTS: dict[str, SearchStrategy[tuple[Any, ...]]] = {
    "get_follow_user_list": st.just(()),
    "list": st.tuples(ids),
    "get": st.tuples(ids),
    "add_contact_way": way(True) | way(False),
    "get_contact_way": st.tuples(ids),
    "update_contact_way": st.tuples(ids, short, flags, st.none() | numbers, maybe_short, st.none() | members, parties),
    "del_contact_way": st.tuples(ids),
    "add_msg_template": st.tuples(group_message),
    "get_group_msg_result": st.tuples(ids),
    "get_user_behavior_data": numbers.flatmap(
        lambda start: st.tuples(members | ids, st.just(start), st.integers(start, start + 30 * 86400))
    ),
    "send_welcome_msg": st.tuples(welcome),
    "get_unassigned_list": st.tuples(st.integers(0, 49), st.integers(1, 1000)),
    "transfer": st.tuples(ids, ids, ids),
}

# ------------------------------------------------------------------------------------------------ claims


@pytest.mark.parametrize("name", CONTRACT)
def test_names_order_and_defaults_are_those_of_the_contract_and_new_parameters_follow(name: str) -> None:
    given = list(inspect.signature(getattr(ExternalContact, name)).parameters.values())[1:]
    ours = [(parameter.name, parameter.default) for parameter in given]
    contract = list(CONTRACT[name].items())
    assert ours[: len(contract)] == contract
    assert all(default is None for _, default in ours[len(contract) :])


@pytest.fixture(scope="module")
def witness(_recorded: tuple[Recorder, WeComClient]) -> Any:
    theirs = WeChatClient("ww1", "secret", access_token="TOKEN")
    theirs.API_BASE_URL = f"{_recorded[0].url}/cgi-bin/"
    return theirs.external_contact


@pytest.mark.parametrize("name", CONTRACT)
def test_requests_are_those_of_an_independent_witness(
    name: str, recorder: Recorder, client: WeComClient, witness: Any
) -> None:
    ours: Callable[..., Any] = getattr(client.external_contact, name)
    theirs: Callable[..., Any] = getattr(witness, name)

    @settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))
    @given(ARGUMENTS[name])
    def same(arguments: tuple[Any, ...]) -> None:
        assert ours(*arguments) == {"errcode": 0, "errmsg": "ok"}
        sent = recorder.take()
        theirs(*arguments)
        assert sent.call == recorder.take().call
        by_name = dict(zip(CONTRACT[name], arguments, strict=True))
        ours(**by_name)
        assert sent.call == recorder.take().call

    same()


@pytest.mark.parametrize("name", CONTRACT)
def test_defaults_are_sent_as_the_witness_sends_them(
    name: str, recorder: Recorder, client: WeComClient, witness: Any
) -> None:
    samples = {"type": 2, "scene": 2, "template": {"welcome_code": "C", "sender": "m", "text": {"content": "您好"}}}
    required = [
        samples.get(p, 1 if p.endswith(("_id", "_size")) else p) for p, d in CONTRACT[name].items() if d is NOTHING
    ]
    if name == "get_user_behavior_data":
        required = [["zhangsan"], 0, 86400]
    getattr(client.external_contact, name)(*required)
    ours = recorder.take()
    getattr(witness, name)(*required)
    assert ours.call == recorder.take().call


def test_json_is_sent_as_raw_utf8(recorder: Recorder, client: WeComClient) -> None:
    client.external_contact.send_welcome_msg({"welcome_code": "C", "text": {"content": "您好"}})
    request = recorder.take()
    assert "您好".encode() in request.body
    assert request.headers["Content-Type"] == "application/json"


NEWER = [  # added since: call → the field that is then sent
    ("get", ("wm1",), {"cursor": "c"}),
    ("add_contact_way", (1, 2), {"user": ["m"], "is_temp": True, "expires_in": 60, "chat_expires_in": 60}),
    ("add_contact_way", (2, 2), {"unionid": "u", "is_exclusive": False, "mark_source": True}),
    ("add_contact_way", (2, 2), {"conclusions": {"text": {"content": "再见"}}}),
    ("update_contact_way", ("id", "r"), {"expires_in": 60, "chat_expires_in": 60, "unionid": "u"}),
    ("update_contact_way", ("id", "r"), {"conclusions": {"image": {"media_id": "m"}}, "mark_source": False}),
    ("get_group_msg_result", ("m",), {"limit": 10_000, "cursor": "c"}),
    ("get_user_behavior_data", (None, 0, 1), {"partyid": [1]}),
    ("transfer", ("wm1", "a", "b"), {"transfer_success_msg": "换人了"}),
]


@pytest.mark.parametrize(("name", "arguments", "more"), NEWER)
def test_newer_parameters_are_sent_if_they_are_given(
    name: str, arguments: tuple[Any, ...], more: dict[str, Any], recorder: Recorder, client: WeComClient
) -> None:
    getattr(client.external_contact, name)(*arguments, **more)
    request = recorder.take()
    sent = request.json or {key: values[0] for key, values in request.query.items()}
    assert more.items() <= sent.items()


def test_a_cursor_replaces_the_page_id(recorder: Recorder, client: WeComClient) -> None:
    client.external_contact.get_unassigned_list(60, 1000, cursor="c")
    assert recorder.take().json == {"page_size": 1000, "cursor": "c"}
