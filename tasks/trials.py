"""A trial of a welcome: what a customer would get, as app messages to one member, marked as a test. Docs 90236, 90253.

App messages can show less than a welcome: a text has 2048 bytes, so a longer one comes in parts, and a mini-program's
card stands there in words. Each message is one call; a member gets at most 30 a minute, so trials have to be few.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.books.media_store import MediaStore, ReadyMedia
from tasks.media_renewal import LIFE
from tasks.missed.reminders import BYTES, CALL, NO_VALID_RECEIVER, not_delivered
from tasks.reasons import Kind, Reason
from tasks.settings import App
from tasks.templates.model import Attachment, Link, Media, MediaID, MiniProgram, PicURL, source
from tasks.templates.render import Upload, uploads
from tasks.wecom import WeComAPIError, WeComClient, WeComError
from tasks.wecom.errors import InvalidRequest

PATIENCE = 12.0  # seconds for one trial with its uploads
MARK = "【测试】下面是欢迎语「{name}」，客户收到的样子如下。只发给您，客户不会收到。"
PROGRAM = "【小程序】{title}\nAppID：{appid}\n页面：{page}\n（应用消息里显示不了小程序卡片）"


@dataclass(slots=True)
class Report:
    """What became of a trial. `sent`: messages beside the mark; `left_out`: attachment's number → why; `reason`: why
    it ended early, None if it did not.
    """

    sent: int = 0
    left_out: dict[int, Reason] = field(default_factory=dict)
    reason: Reason | None = None


def parts(text: str, most: int = BYTES) -> list[str]:
    """A text in parts of at most `most` bytes, each as long as it can be, at the end of a line if there is one.

    >>> parts("one\\ntwo\\nthree", 8)
    ['one\\ntwo', 'three']
    """
    found = []
    while len(text.encode()) > most:
        head = text.encode()[:most].decode(errors="ignore")
        line = head.rfind("\n")
        head = head[:line] if line > 0 else head
        found.append(head)
        text = text[len(head) :].removeprefix("\n")
    return [*found, text] if text.strip() else found


def _message(attachment: Attachment, media_id: str) -> dict[str, Any]:
    """An attachment as an app message. `media_id`: of its file."""
    if isinstance(attachment, Link):
        article = {"title": attachment.title, "description": attachment.desc, "url": attachment.url}
        return _news(article | ({"picurl": attachment.picurl} if attachment.picurl else {}))
    if isinstance(attachment, MiniProgram):
        words = PROGRAM.format(title=attachment.title, appid=attachment.appid, page=attachment.page)
        return {"msgtype": "text", "text": {"content": words}}
    given = source(attachment)
    if isinstance(given, PicURL):
        return _news({"title": "图片", "url": given.url, "picurl": given.url})
    kind = type(attachment).__name__.lower()
    return {"msgtype": kind, kind: {"media_id": media_id}}


def _news(article: Mapping[str, str]) -> dict[str, Any]:
    return {"msgtype": "news", "news": {"articles": [dict(article)]}}


class Trials:
    """Sends trials for one app. Thread-safe. Raises redis.RedisError."""

    def __init__(self, app: App, wecom: WeComClient, media: MediaStore, ready: ReadyMedia) -> None:
        self._app = app
        self._wecom = wecom
        self._media = media
        self._ready = ready

    @property
    def possible(self) -> bool:
        """Whether the app can message members at all: it needs an agent id."""
        return self._app.agent_id.isdigit()

    def send(self, member: str, name: str, text: str, attachments: Sequence[Attachment]) -> Report:
        """Send a member a welcome's text, as a customer would read it, and its attachments."""
        report, by = Report(), time.monotonic() + PATIENCE
        try:
            if not member or member == "@all" or "|" in member:  # to WeCom, nobody or more than one
                raise InvalidRequest("message/send", "touser", "several", "must be one member")
            self._send(member, {"msgtype": "text", "text": {"content": MARK.format(name=name)}}, report, by)
            if report.reason is not None:
                return report
            for message in self._messages(text, attachments, report, by):
                self._send(member, message, report, by)
                report.sent += 1
        except WeComError as error:
            invalid = isinstance(error, WeComAPIError) and error.errcode == NO_VALID_RECEIVER
            report.reason = Reason.of(Kind.MEMBER_NOT_VISIBLE) if invalid else Reason.from_error(error)
        return report

    def _messages(
        self, text: str, attachments: Sequence[Attachment], report: Report, by: float
    ) -> Iterator[dict[str, Any]]:
        for part in parts(text):
            yield {"msgtype": "text", "text": {"content": part}}
        for number, attachment in enumerate(attachments, 1):
            try:
                media_id = self._media_id(attachment, by)
            except WeComError as error:
                report.left_out[number] = Reason.from_error(error)
                continue
            if media_id is None:
                report.left_out[number] = Reason.of(Kind.FILE_NOT_KEPT)
            else:
                yield _message(attachment, media_id)

    def _media_id(self, attachment: Attachment, by: float) -> str | None:
        """The media id of an attachment's file, uploaded now if it is not at WeCom; "" for none needed, None: lost."""
        given = source(attachment)
        if isinstance(given, MediaID):
            return given.media_id
        if isinstance(attachment, MiniProgram) or not isinstance(given, Media):
            return ""
        upload = uploads(attachment)[-1]  # the one that gives a media id
        known = self._ready.get(self._app.corp_id, [upload]).get(upload)
        return known or self._uploaded(upload, given, by)

    def _uploaded(self, upload: Upload, media: Media, by: float) -> str | None:
        content, began = self._media.get(media.sha256), time.time()
        if content is None:
            return None
        answer = self._wecom.with_deadline(by).media.upload(upload.how, content, upload.name or media.name)
        media_id = str(answer.get("media_id") or "")
        if media_id:
            self._ready.put(self._app.corp_id, upload, media_id, began + LIFE)
        return media_id or None

    def _send(self, member: str, message: Mapping[str, Any], report: Report, by: float) -> None:
        until = min(by, time.monotonic() + CALL)
        address = {"touser": member, "agentid": int(self._app.agent_id)}
        answer = self._wecom.with_deadline(until).message.send({**address, **message})
        report.reason = not_delivered(member, answer)
