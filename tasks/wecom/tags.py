"""企业标签: the corp's tags for customers, and adding them to customers. Docs 92117, 92118."""

from collections.abc import Mapping, Sequence
from typing import Any

from .calls import POST, Fields, Resource
from .limits import an_object, at_least_one, characters, entries, within
from .message_limits import TAG

ORDER = 2**32 - 1


class Tags(Resource):
    """Calls below externalcontact/ about tags."""

    @POST("externalcontact/get_corp_tag_list")
    def get_corp_tag_list(self, tag_id: Sequence[str] | None = None, group_id: Sequence[str] | None = None) -> Fields:
        """The corp's tags, in their groups; all of them by default. Doc 92117.

        tag_id, group_id: only these tags, or only these groups; give one of the two, since WeCom ignores the other.
        → {"tag_group": [{group_id, group_name, create_time, order, deleted, "tag": [{id, name, create_time, order,
        deleted}]}]}; deleted is present only if ids were given.
        """
        entries("tag_id", tag_id)
        entries("group_id", group_id)
        return {"tag_id": tag_id, "group_id": group_id}

    @POST("externalcontact/add_corp_tag")
    def add_corp_tag(
        self,
        tag: Sequence[Mapping[str, Any]],
        group_id: str | None = None,
        group_name: str | None = None,
        order: int | None = None,
        agentid: int | None = None,
    ) -> Fields:
        """Create tags, in an existing group or in a new one. Doc 92117.

        tag: at least one {"name": at most 30 characters, "order": larger numbers come first}. group_id: an existing
        group. group_name: instead of group_id, at most 30 characters; an existing group of this name is used. order:
        that of a new group. agentid: for old third-party suites only.
        → {"tag_group": {group_id, group_name, create_time, order, "tag": [{id, name, create_time, order}]}}
        Errors: BadRequest 40071 for a name that is in use; the corp has at most 10 000 tags.
        """
        entries("tag", tag, least=1)
        for number, each in enumerate(tag):
            characters(f"tag[{number}].name", an_object(f"tag[{number}]", each).get("name", ""), TAG.most, least=1)
            within(f"tag[{number}].order", each.get("order"), 0, ORDER)
        at_least_one(group_id=group_id, group_name=group_name)
        characters("group_name", group_name, TAG.most)
        within("order", order, 0, ORDER)
        return {"group_id": group_id, "group_name": group_name, "order": order, "tag": tag, "agentid": agentid}

    @POST("externalcontact/edit_corp_tag")
    def edit_corp_tag(
        self, id: str, name: str | None = None, order: int | None = None, agentid: int | None = None
    ) -> Fields:
        """Rename or move a tag or a group that this app created. Doc 92117.

        id: of the tag or the group. name: at most 30 characters. order: larger numbers come first. agentid: for old
        third-party suites only.
        → {} with errcode 0.
        Errors: BadRequest 40068 no such tag, 40071 a name that is in use.
        """
        characters("name", name, TAG.most, least=1)
        within("order", order, 0, ORDER)
        return {"id": id, "name": name, "order": order, "agentid": agentid}

    @POST("externalcontact/del_corp_tag")
    def del_corp_tag(
        self,
        tag_id: Sequence[str] | None = None,
        group_id: Sequence[str] | None = None,
        agentid: int | None = None,
    ) -> Fields:
        """Delete tags and groups that this app created, also from the customers marked with them. Doc 92117.

        tag_id, group_id: at least one of the two lists; a group is deleted with its last tag. agentid: for old
        third-party suites only.
        → {} with errcode 0.
        """
        entries("tag_id", tag_id)
        entries("group_id", group_id)
        at_least_one(tag_id=tag_id, group_id=group_id)
        return {"tag_id": tag_id, "group_id": group_id, "agentid": agentid}

    @POST("externalcontact/mark_tag")
    def mark_tag(
        self,
        userid: str,
        external_userid: str,
        add_tag: Sequence[str] | None = None,
        remove_tag: Sequence[str] | None = None,
    ) -> Fields:
        """Add tags to a member's customer, and remove tags. Doc 92118.

        userid, external_userid: the member and the customer. add_tag, remove_tag: tag ids, not both empty; a pair has
        at most 3000 tags.
        → {} with errcode 0.
        Errors: Busy 45035 when the pair is being marked at the same time, Final 84061 when the two are not contacts.
        """
        entries("add_tag", add_tag, 3000)
        entries("remove_tag", remove_tag)
        at_least_one(add_tag=add_tag, remove_tag=remove_tag)
        return {"userid": userid, "external_userid": external_userid, "add_tag": add_tag, "remove_tag": remove_tag}
