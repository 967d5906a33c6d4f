"""客户朋友圈: moments that members publish to their customers. Docs 95094, 93333, 97612."""

from collections.abc import Mapping
from typing import Any

from .calls import GET, POST, Fields, Resource, paginate
from .limits import LimitExceeded, an_object, characters, days, entries, one_of, utf8_bytes, within

TEXT = 2000  # characters
MOST = {"image": 9, "video": 1, "link": 1}  # attachments; all of one kind
SENDERS = 100_000


class Moments(Resource):
    """Calls below externalcontact/ about moments."""

    @POST("externalcontact/add_moment_task")
    def add_moment_task(self, template: Mapping[str, Any]) -> Fields:
        """Create a moment. It is a task: members must publish it; at most ten per minute. Doc 95094.

        template: the content and its audience; text and attachments must not both be empty:
            text            {"content": at most 2000 characters}
            attachments     at most 9 images, or one video, or one link; media from media/upload_attachment:
                            {"msgtype": kind, kind: {"media_id"}}, a link with title ≤ 64 bytes and url as well
            visible_range   {"sender_list": {"user_list", "department_list"}, "external_contact_list": {"tag_list"}};
                            without it, everyone in the app's range publishes to all customers
        → {"jobid": id}; valid for 24 hours, see get_moment_task_result.
        """
        text = template.get("text")
        if text is not None:
            characters("text.content", an_object("text", text).get("content"), TEXT)
        _attachments(template.get("attachments"))
        if not (text or {}).get("content") and not template.get("attachments"):
            raise LimitExceeded("text, attachments", "all empty", "at least one is required")
        senders = (template.get("visible_range") or {}).get("sender_list") or {}
        entries("visible_range.sender_list.user_list", senders.get("user_list"), SENDERS)
        return dict(template)

    @GET("externalcontact/get_moment_task_result")
    def get_moment_task_result(self, jobid: str) -> Fields:
        """The result of add_moment_task. Doc 95094.

        jobid: as returned by add_moment_task.
        → {"status": 1 started | 2 in progress | 3 done, "type", "result": {errcode, errmsg, moment_id,
        invalid_sender_list, invalid_external_contact_list}}
        """
        return {"jobid": jobid}

    @POST("externalcontact/cancel_moment_task")
    def cancel_moment_task(self, moment_id: str) -> Fields:
        """Stop a moment; what is published stays. Doc 97612.

        moment_id: of a moment that the corp created.
        → {} with errcode 0.
        """
        return {"moment_id": moment_id}

    @POST("externalcontact/get_moment_list")
    def get_moment_list(
        self,
        start_time: int,
        end_time: int,
        creator: str | None = None,
        filter_type: int | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Fields:
        """The moments of a period. Doc 93333.

        start_time, end_time: Unix seconds, at most 30 days apart. creator: only those of this member. filter_type: 0
        created by the corp, 1 by members, 2 both, the default. cursor: next_cursor of the previous page. limit: entries
        per page, at most 20, the default.
        → {"moment_list": [{moment_id, creator, create_time, create_type, visible_type: 0 some | 1 all, text, image,
        video, link, location}], "next_cursor"}
        """
        days("start_time, end_time", start_time, end_time, 30)
        one_of("filter_type", filter_type, 0, 1, 2)
        within("limit", limit, 1, 20)
        return {
            "start_time": start_time,
            "end_time": end_time,
            "creator": creator,
            "filter_type": filter_type,
            "cursor": cursor,
            "limit": limit,
        }

    iter_get_moment_list = paginate(get_moment_list, "moment_list")

    @POST("externalcontact/get_moment_task")
    def get_moment_task(self, moment_id: str, cursor: str | None = None, limit: int | None = None) -> Fields:
        """Which members have published a moment that the corp created. Doc 93333.

        moment_id: its id. cursor: next_cursor of the previous page. limit: entries per page, 500 by default, at most
        1000.
        → {"task_list": [{userid, publish_status: 0 not yet | 1 published}], "next_cursor"}
        """
        within("limit", limit, 1, 1000)
        return {"moment_id": moment_id, "cursor": cursor, "limit": limit}

    iter_get_moment_task = paginate(get_moment_task, "task_list")

    @POST("externalcontact/get_moment_customer_list")
    def get_moment_customer_list(
        self, moment_id: str, userid: str, cursor: str | None = None, limit: int | None = None
    ) -> Fields:
        """The customers that a moment was meant for. Doc 93333.

        moment_id: its id. userid: the member who published it. cursor: next_cursor of the previous page. limit: entries
        per page, 500 by default, at most 1000.
        → {"customer_list": [{userid, external_userid}], "next_cursor"}
        """
        within("limit", limit, 1, 1000)
        return {"moment_id": moment_id, "userid": userid, "cursor": cursor, "limit": limit}

    iter_get_moment_customer_list = paginate(get_moment_customer_list, "customer_list")

    @POST("externalcontact/get_moment_send_result")
    def get_moment_send_result(
        self, moment_id: str, userid: str, cursor: str | None = None, limit: int | None = None
    ) -> Fields:
        """The customers who can see a moment. Doc 93333.

        moment_id: its id. userid: the member who published it. cursor: next_cursor of the previous page. limit: entries
        per page, 3000 by default, at most 5000.
        → {"customer_list": [{external_userid}], "next_cursor"}
        """
        within("limit", limit, 1, 5000)
        return {"moment_id": moment_id, "userid": userid, "cursor": cursor, "limit": limit}

    iter_get_moment_send_result = paginate(get_moment_send_result, "customer_list")

    @POST("externalcontact/get_moment_comments")
    def get_moment_comments(self, moment_id: str, userid: str) -> Fields:
        """Comments and likes of a moment. Doc 93333.

        moment_id: its id. userid: the member who published it.
        → {"comment_list": [{external_userid or userid, create_time}], "like_list": [{the same}]}
        """
        return {"moment_id": moment_id, "userid": userid}


def _attachments(attachments: Any) -> None:
    entries("attachments", attachments, max(MOST.values()))
    kinds = [an_object(f"attachments[{n}]", each).get("msgtype", "none") for n, each in enumerate(attachments or ())]
    for number, kind in enumerate(kinds):
        one_of(f"attachments[{number}].msgtype", kind, *MOST)
        value = an_object(f"attachments[{number}].{kind}", attachments[number].get(kind))
        if not value.get("media_id"):
            raise LimitExceeded(f"attachments[{number}].{kind}.media_id", "empty", "it is required")
        utf8_bytes(f"attachments[{number}].{kind}.title", value.get("title"), 64)
    if len(set(kinds)) > 1:
        raise LimitExceeded("attachments", f"{len(set(kinds))} kinds", "must be of one kind")
    if kinds:
        entries(f"attachments of kind {kinds[0]}", kinds, MOST[kinds[0]])
