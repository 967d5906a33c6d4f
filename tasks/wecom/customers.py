"""Customers, the members who have added them, and the members' notes on them. Docs 92113, 92114, 92115, 92132."""

from collections.abc import Sequence

from .calls import GET, POST, Fields, Resource, paginate
from .limits import at_least_one, characters, days, entries, within
from .message_limits import REMARK


class Customers(Resource):
    """Calls below externalcontact/ about customers."""

    @GET("externalcontact/get_follow_user_list")
    def get_follow_user_list(self) -> Fields:
        """The members with 客户联系 in the app's visible range. Doc 92571.

        → {"follow_user": [userid]}
        """
        return {}

    @GET("externalcontact/list")
    def list(self, userid: str) -> Fields:
        """All customers of a member, unpaged. Doc 92113.

        userid: the member, who needs 客户联系: contacts of other members are not customers.
        → {"external_userid": [external_userid]}
        Errors: Final 84061, as some users report, for a member without any customer.
        """
        return {"userid": userid}

    @GET("externalcontact/get")
    def get(self, external_userid: str, cursor: str | None = None) -> Fields:
        """A customer, and the members who have added it. Doc 92114.

        external_userid: the customer. cursor: next_cursor of the previous page, for a customer of more than 500
        members.
        → {"external_contact": {external_userid, name, type: 1 WeChat | 2 WeCom, avatar, gender, unionid, corp_name …},
        "follow_user": [{userid, remark, description, createtime, tags: [{group_name, tag_name, tag_id, type}],
        remark_mobiles, add_way, oper_userid, state}], "next_cursor"}. Which fields come depends on the app; `add_way`
        is an open list of numbers: 1 QR code, 3 card, 16 获客链接, 202 assigned …
        Errors: Final 84061 when nobody in the app's range has this customer, 40096 no such external_userid.
        """
        return {"external_userid": external_userid, "cursor": cursor}

    iter_get = paginate(get, "follow_user")

    @POST("externalcontact/batch/get_by_user")
    def batch_get_by_user(
        self, userid_list: Sequence[str], cursor: str | None = None, limit: int | None = None
    ) -> Fields:
        """The customers of some members, with each member's notes on them. Doc 92994.

        userid_list: at most 100 members. cursor: next_cursor of the previous page. limit: entries per page, 50 by
        default; more than 100 counts as 100.
        → {"external_contact_list": [{"external_contact": {…}, "follow_info": {userid, remark, createtime, tag_id: [id],
        add_way, state …}}], "next_cursor", "fail_info": {"unlicensed_userid_list": [userid]}}
        Errors: Misconfigured 701008 when none of the members has a licence.
        """
        entries("userid_list", userid_list, 100, least=1)
        within("limit", limit, 1)
        return {"userid_list": userid_list, "cursor": cursor, "limit": limit}

    iter_batch_get_by_user = paginate(batch_get_by_user, "external_contact_list")

    @POST("externalcontact/contact_list")
    def contact_list(self, cursor: str | None = None, limit: int | None = None) -> Fields:
        """Everyone outside the corp whom members serve, in chats or group chats, customer or not. Doc 99434.

        cursor: next_cursor of the previous page. limit: entries per page, at most 1000.
        → {"info_list": [{is_customer, tmp_openid, external_userid, name, follow_userid, chat_id, chat_name, add_time}],
        "next_cursor"}; those who are not customers have only a tmp_openid.
        Errors: BadRequest 50100 for a cursor that has expired: start from the first page.
        """
        within("limit", limit, 1, 1000)
        return {"cursor": cursor, "limit": limit}

    iter_contact_list = paginate(contact_list, "info_list")

    @POST("externalcontact/remark")
    def remark(
        self,
        userid: str,
        external_userid: str,
        remark: str | None = None,
        description: str | None = None,
        remark_company: str | None = None,
        remark_mobiles: Sequence[str] | None = None,
        remark_pic_mediaid: str | None = None,
    ) -> Fields:
        """Set a member's notes on a customer; what is None stays as it is. Doc 92115.

        userid, external_userid: the member and the customer. remark: at most 20 characters. description: at most 150.
        remark_company: at most 20, for WeChat users only. remark_mobiles: replace the previous ones; [""] clears them.
        remark_pic_mediaid: an uploaded image. At least one of the five.
        → {} with errcode 0. Nothing is pushed to callbacks.
        Errors: Final 84061 when the two are not contacts.
        """
        at_least_one(
            remark=remark is not None,
            description=description is not None,
            remark_company=remark_company is not None,
            remark_mobiles=remark_mobiles is not None,
            remark_pic_mediaid=remark_pic_mediaid is not None,
        )
        characters("remark", remark, REMARK.most)
        characters("description", description, 150)
        characters("remark_company", remark_company, 20)
        entries("remark_mobiles", remark_mobiles)
        return {
            "userid": userid,
            "external_userid": external_userid,
            "remark": remark,
            "description": description,
            "remark_company": remark_company,
            "remark_mobiles": remark_mobiles,
            "remark_pic_mediaid": remark_pic_mediaid,
        }

    @POST("externalcontact/get_user_behavior_data")
    def get_user_behavior_data(
        self,
        userid: str | Sequence[str] | None,
        start_time: int,
        end_time: int,
        partyid: Sequence[int] | None = None,
    ) -> Fields:
        """Statistics of members and their customers, by day. Doc 92132.

        userid: at most 100 members, whose numbers are added up; None if partyid is given. start_time: Unix seconds of
        the first day, within the last 180. end_time: of the last one, at most 30 days later. partyid: at most 100
        departments, whose members are added up.
        → {"behavior_data": [{stat_time, chat_cnt, message_cnt, reply_percentage, avg_reply_time in minutes,
        negative_feedback_cnt: removed or blocked a member, new_apply_cnt: asked by a member, new_contact_cnt}]};
        reply_percentage is absent if there was no chat. All are 0 until WeCom has counted the day: some users found it
        uncounted three hours after its end.
        Errors: BadRequest 600018 for a period that WeCom does not accept.
        """
        if not isinstance(userid, str):
            entries("userid", userid, 100)
        entries("partyid", partyid, 100)
        at_least_one(userid=userid, partyid=partyid)
        days("start_time, end_time", start_time, end_time, 30)
        return {"userid": userid, "start_time": start_time, "end_time": end_time, "partyid": partyid}

    @POST("externalcontact/opengid_to_chatid")
    def opengid_to_chatid(self, opengid: str) -> Fields:
        """The chat_id for the opengid by which a mini-program knows a group chat. Doc 94822.

        opengid: from wx.getGroupEnterInfo, in a mini-program that is linked to the corp.
        → {"chat_id": chat_id}
        """
        return {"opengid": opengid}
