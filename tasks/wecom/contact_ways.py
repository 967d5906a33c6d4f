"""联系我: QR codes and mini-program buttons by which a customer adds a member. Doc 92572."""

from collections.abc import Mapping, Sequence
from typing import Any

from . import content
from .calls import POST, Fields, Resource, paginate
from .limits import LimitExceeded, an_object, characters, days, entries, one_of, within

FORTNIGHT = 14 * 86400  # seconds: the longest life of a temporary chat, and of its code


class ContactWays(Resource):
    """Calls below externalcontact/ about contact ways and the temporary chats that start from them."""

    @POST("externalcontact/add_contact_way")
    def add_contact_way(
        self,
        type: int,
        scene: int,
        style: int | None = None,
        remark: str | None = None,
        skip_verify: bool | None = True,
        state: str | None = None,
        user: Sequence[str] | None = None,
        party: Sequence[int] | None = None,
        is_temp: bool | None = None,
        expires_in: int | None = None,
        chat_expires_in: int | None = None,
        unionid: str | None = None,
        is_exclusive: bool | None = None,
        conclusions: Mapping[str, Any] | None = None,
        mark_source: bool | None = None,
    ) -> Fields:
        """Create a contact way. Keep its config_id: the console does not show it. Doc 92572.

        type: 1 one member, 2 several. scene: 1 in a mini-program, 2 by QR code. style: of the mini-program's button.
        remark: a note for yourself, at most 30 characters. skip_verify: whether the member need not confirm. state: the
        channel, at most 30 characters; WeCom sends it with the event. user: userids; exactly one for type 1, at most
        100. party: department ids, for type 2. is_temp: a temporary chat (medical corps, type 1); the next four
        parameters are for one. expires_in: seconds of the code's life, 7 days by default, at most 14. chat_expires_in:
        seconds of the chat's life, 24 hours by default, at most 14 days. unionid: of the only customer who may chat.
        conclusions: the message sent at the end, {"text": {"content": at most 4000 bytes}} and one of image, link and
        miniprogram. is_exclusive: a customer can add only one member through this way. mark_source: not described in
        the documentation known to us.
        → {"config_id": id, "qr_code": URL, for scene 2}
        Errors: Final 41054 for a member who is not activated, 84074 for one without 客户联系.
        """
        one_of("type", type, 1, 2)
        one_of("scene", scene, 1, 2)
        _check(remark, state, user, expires_in, chat_expires_in, conclusions)
        if type == 1 and len(user or ()) != 1:
            raise LimitExceeded("user", f"{len(user or ())} entries", "exactly 1 where type is 1")
        return {
            "type": type,
            "scene": scene,
            "style": style,
            "remark": remark,
            "skip_verify": skip_verify,
            "state": state,
            "user": user,
            "party": party,
            "is_temp": is_temp,
            "expires_in": expires_in,
            "chat_expires_in": chat_expires_in,
            "unionid": unionid,
            "is_exclusive": is_exclusive,
            "conclusions": conclusions,
            "mark_source": mark_source,
        }

    @POST("externalcontact/get_contact_way")
    def get_contact_way(self, config_id: str) -> Fields:
        """A contact way. Doc 92572.

        config_id: as returned by add_contact_way.
        → {"contact_way": {config_id, type, scene, style, remark, skip_verify, state, qr_code, user, party, is_temp,
        expires_in, chat_expires_in, unionid, conclusions}}; some users report a list that holds this object.
        """
        return {"config_id": config_id}

    @POST("externalcontact/list_contact_way")
    def list_contact_way(
        self,
        start_time: int | None = None,
        end_time: int | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Fields:
        """The contact ways created through the API since 2021-07-10, without temporary ones. Doc 92572.

        start_time, end_time: of their creation, Unix seconds; the last 90 days by default. cursor: next_cursor of the
        previous page. limit: entries per page, 100 by default, at most 1000.
        → {"contact_way": [{"config_id": id}], "next_cursor"}
        """
        days("start_time, end_time", start_time, end_time)
        within("limit", limit, 1, 1000)
        return {"start_time": start_time, "end_time": end_time, "cursor": cursor, "limit": limit}

    iter_list_contact_way = paginate(list_contact_way, "contact_way")

    @POST("externalcontact/update_contact_way")
    def update_contact_way(
        self,
        config_id: str,
        remark: str | None,
        skip_verify: bool | None = True,
        style: int | None = None,
        state: str | None = None,
        user: Sequence[str] | None = None,
        party: Sequence[int] | None = None,
        expires_in: int | None = None,
        chat_expires_in: int | None = None,
        unionid: str | None = None,
        conclusions: Mapping[str, Any] | None = None,
        mark_source: bool | None = None,
    ) -> Fields:
        """Update a contact way; what is None stays as it is. Doc 92572.

        config_id: its id. remark: at most 30 characters. skip_verify: True by default, as the call has always had it;
        None leaves it as it is. style, state, user, party, expires_in, chat_expires_in, unionid, conclusions,
        mark_source: as for add_contact_way; a user or party that is given replaces the previous ones.
        → {} with errcode 0.
        """
        _check(remark, state, user, expires_in, chat_expires_in, conclusions)
        return {
            "config_id": config_id,
            "remark": remark,
            "skip_verify": skip_verify,
            "style": style,
            "state": state,
            "user": user,
            "party": party,
            "expires_in": expires_in,
            "chat_expires_in": chat_expires_in,
            "unionid": unionid,
            "conclusions": conclusions,
            "mark_source": mark_source,
        }

    @POST("externalcontact/del_contact_way")
    def del_contact_way(self, config_id: str) -> Fields:
        """Delete a contact way: its code stops working. Doc 92572.

        config_id: as returned by add_contact_way.
        → {} with errcode 0.
        """
        return {"config_id": config_id}

    @POST("externalcontact/close_temp_chat")
    def close_temp_chat(self, userid: str, external_userid: str) -> Fields:
        """End a temporary chat; its conclusions are sent first. Doc 92572.

        userid, external_userid: the member and the customer.
        → {} with errcode 0.
        """
        return {"userid": userid, "external_userid": external_userid}


def _check(
    remark: str | None,
    state: str | None,
    user: Sequence[str] | None,
    expires_in: int | None,
    chat_expires_in: int | None,
    conclusions: Mapping[str, Any] | None,
) -> None:
    characters("remark", remark, 30)
    characters("state", state, 30)
    entries("user", user, 100)
    within("expires_in", expires_in, 1, FORTNIGHT)
    within("chat_expires_in", chat_expires_in, 1, FORTNIGHT)
    if conclusions is not None:
        content.text(an_object("conclusions", conclusions))
        content.beside(conclusions, content.BESIDE_TEXT)
