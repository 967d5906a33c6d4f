"""What an errcode means, and what the caller can do about it."""

import logging
import time

import pytest

from tasks.wecom import WeComAPIError, WeComClient, errors
from tasks.wecom.errors import CODES, Busy, Final, Limited, MediaRefused, Misconfigured, TokenRefused, from_answer
from tests.support.recording import Recorder

DOCUMENTED = {  # docs 90313, 90455, 92137: what a caller of customer contact meets
    Busy: (-1, 41096, 45033, 45035),
    Limited: (45009,),
    TokenRefused: (40014, 41001, 42001),
    MediaRefused: (40007, 90207, 90208),
    Misconfigured: (
        *(40001, 40013, 41002, 41004, 48001, 48002, 48006, 50002, 50003, 60011, 60020, 60021, 84074),
        *(301002, 701008, 50001),
    ),
    errors.BadRequest: (
        *(40004, 40005, 40006, 40008, 40009, 40011, 40033, 40058, 40063, 40123, 41006, 41009, 41049, 41064, 41065),
        *(40029, 41088, 44001, 44004, 45001, 45002, 50100),
    ),
    Final: (40003, 40096, 40098, 41050, 41051, 41052, 41053, 41054, 41055, 41058, 48005, 60111, 81013, 84061),
}  # fmt: skip
ROWS = [(code, kind) for kind, codes in DOCUMENTED.items() for code in codes]


@pytest.mark.parametrize(("code", "kind"), ROWS)
def test_each_documented_code_is_sorted_by_what_the_caller_can_do(code: int, kind: type[WeComAPIError]) -> None:
    error = from_answer(code, "whatever", "externalcontact/get")
    assert type(error) is kind
    assert CODES[code].meaning
    assert CODES[code].cure


def test_an_undocumented_code_is_not_retried() -> None:
    assert type(from_answer(99999, "new", "user/get")) is Final


def test_an_error_holds_code_message_and_path_but_no_hint(recorder: Recorder, client: WeComClient) -> None:
    said = "not external contact, hint: [17], from ip: 203.0.113.9, more info at https://open.work.weixin.qq.com/x"
    recorder.answer = lambda request: {"errcode": 84061, "errmsg": said}
    with pytest.raises(Final) as raised:
        client.external_contact.get("wm1")
    error = raised.value
    assert (error.errcode, error.errmsg, error.path) == (84061, "not external contact", "externalcontact/get")
    assert "203.0.113.9" not in str(error)


def test_no_repr_holds_the_secret_or_a_token(recorder: Recorder, client: WeComClient) -> None:
    client.external_contact.get_follow_user_list()
    token = client.tokens.get(time.monotonic() + 20)
    for one in (client, client.tokens, client.external_contact, client.with_deadline(0.0)):
        assert client._secret not in repr(one)
        assert token not in repr(one)
    assert client._corp_id in repr(client)


def test_a_remark_in_an_answer_without_error_is_logged(
    recorder: Recorder, client: WeComClient, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.answer = lambda request: {"errcode": 0, "errmsg": "Warning: wrong json format. "}
    with caplog.at_level(logging.WARNING):
        client.external_contact.get_follow_user_list()
    assert "wrong json format" in caplog.text
    assert "externalcontact/get_follow_user_list" in caplog.text


def test_two_apps_of_a_corp_never_share_a_token(recorder: Recorder) -> None:
    one, other = WeComClient("ww1", "a", recorder.url), WeComClient("ww1", "b", recorder.url)
    assert one.tokens._key != other.tokens._key


def test_the_client_with_a_deadline_has_resources_of_its_own(client: WeComClient) -> None:
    bound = client.with_deadline(0.0)
    assert client.external_contact._client is client
    assert bound.external_contact._client is bound
    assert bound.tokens is client.tokens
    with pytest.raises(errors.NotSent, match=r"no time|no token"):
        bound.external_contact.get_follow_user_list()
