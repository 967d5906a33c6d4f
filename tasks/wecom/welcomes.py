"""Welcomes, for new customers (新客户欢迎语, doc 92137) and for who joins a group chat (入群欢迎语, doc 92366)."""

from collections.abc import Mapping
from typing import Any

from . import content
from .calls import POST, Fields, Resource
from .limits import an_object, at_least_one, one_of
from .message_limits import GROUP_TEXT


class Welcomes(Resource):
    """Calls below externalcontact/ about welcomes."""

    @POST("externalcontact/send_welcome_msg")
    def send_welcome_msg(self, template: Mapping[str, Any]) -> Fields:
        """Greet a customer. The code is valid for 20 seconds after the event, and works once. Doc 92137.

        template: {"welcome_code": from the event, "text": {"content": at most 4000 bytes}, "attachments": [at most 9]};
        an attachment is {"msgtype": kind, kind: {…}} with
            image         media_id, or a pic_url from media/uploadimg
            link          title ≤ 128 bytes, url, picurl, desc ≤ 512 bytes
            miniprogram   title ≤ 64 bytes, pic_media_id, appid, page
            video, file   media_id
        The older form, one of image, link and miniprogram (the first one is used) beside the text, is accepted too.
        Text and attachments must not all be empty.
        → {} with errcode 0: there is no message id.
        Errors: Final 41050 for a code that is used, unknown or too old, 41051 when the two already chat, 41053 until
        the customer agrees to the chat archive; Busy 41096 while another app is sending; MediaRefused 40007 for media
        older than three days.
        """
        at_least_one(welcome_code=template.get("welcome_code"))
        content.message(template)
        return dict(template)

    @POST("externalcontact/group_welcome_template/add")
    def group_welcome_template_add(self, template: Mapping[str, Any]) -> Fields:
        """Create a group welcome, which owners of group chats can choose. Doc 92366.

        template: {"text": {"content": at most 3000 bytes, %NICKNAME% is replaced by the name}} and one of image, link,
        miniprogram, file, video (the first one is used); "notify": 1 (the default) notifies the members, 0 does not.
        → {"template_id": id}
        Errors: Final 41055 when the corp has 100 of them.
        """
        _check(template)
        return dict(template)

    @POST("externalcontact/group_welcome_template/edit")
    def group_welcome_template_edit(self, template: Mapping[str, Any]) -> Fields:
        """Replace a group welcome that this app created. Doc 92366.

        template: as for group_welcome_template_add, with "template_id" and without "notify".
        → {} with errcode 0.
        Errors: Final 41058 for one that another app created.
        """
        at_least_one(template_id=template.get("template_id"))
        _check(template)
        return dict(template)

    @POST("externalcontact/group_welcome_template/get")
    def group_welcome_template_get(self, template_id: str) -> Fields:
        """A group welcome. Doc 92366.

        template_id: as returned by group_welcome_template_add.
        → {"text": {"content"}, "image": {"pic_url"}, "link": {…}, "miniprogram": {…}, "file": {…}, "video": {…}}
        """
        return {"template_id": template_id}

    @POST("externalcontact/group_welcome_template/del")
    def group_welcome_template_del(self, template_id: str, agentid: int | None = None) -> Fields:
        """Delete a group welcome that this app created. Doc 92366.

        template_id: its id. agentid: of the app, for old third-party suites only.
        → {} with errcode 0.
        Errors: Final 41058 for one that another app created.
        """
        return {"template_id": template_id, "agentid": agentid}


def _check(template: Mapping[str, Any]) -> None:
    content.text(an_object("template", template), GROUP_TEXT)
    content.beside(template, content.IN_GROUPS)
    one_of("notify", template.get("notify"), 0, 1)
