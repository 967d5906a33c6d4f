"""Files: how they are sent, and how they come back."""

import threading
import time
from pathlib import Path

import pytest

from tasks.wecom import WeComClient
from tasks.wecom.errors import MediaRefused, NoAnswer
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.recording import Recorder, Reply, Request

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def parts(request: Request) -> tuple[bytes, bytes]:
    """(head, content) of the only part of a multipart body, split by hand, since libraries are lenient."""
    content_type = request.headers["Content-Type"]
    assert content_type.startswith("multipart/form-data; boundary=")
    boundary = b"--" + content_type.partition("boundary=")[2].encode()
    before, part, after = request.body.split(boundary)
    assert (before, after) == (b"", b"--\r\n")
    head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    return head, content.removesuffix(b"\r\n")


def test_a_chinese_file_name_is_sent_as_raw_utf8(recorder: Recorder, client: WeComClient) -> None:
    client.media.upload("file", b"%PDF-1.7 ...", "价格表 2026.pdf")
    request = recorder.take()
    head, content = parts(request)
    assert (
        head
        == (
            'Content-Disposition: form-data; name="media"; filename="价格表 2026.pdf"\r\nContent-Type: application/pdf'
        ).encode()
    )
    assert content == b"%PDF-1.7 ..."
    assert (request.verb, request.path, request.query) == ("POST", "/cgi-bin/media/upload", {"type": ["file"]})
    assert request.headers["Content-Length"] == str(len(request.body))
    assert "Transfer-Encoding" not in request.headers


@pytest.mark.parametrize("name", ['a".png', "a\r\nX: y.png", "a\\b.png", "😀.png"])
def test_no_file_name_breaks_out_of_its_header(name: str, recorder: Recorder, client: WeComClient) -> None:
    client.media.uploadimg(PNG, name)
    head, content = parts(recorder.take())
    assert content == PNG
    lines = head.split(b"\r\n")
    assert [line.partition(b":")[0] for line in lines] == [b"Content-Disposition", b"Content-Type"]
    assert lines[0].count(b'"') == 4
    assert b"filename*" not in head


def test_a_path_stands_for_its_name_and_content(recorder: Recorder, client: WeComClient, tmp_path: Path) -> None:
    path = tmp_path / "封面.png"
    path.write_bytes(PNG)
    for media in (path, str(path)):
        client.media.upload("image", media)
        head, content = parts(recorder.take())
        assert 'filename="封面.png"'.encode() in head
        assert b"Content-Type: image/png" in head
        assert content == PNG
    client.media.upload("image", path, "另名.png")
    assert 'filename="另名.png"'.encode() in parts(recorder.take())[0]


def test_an_attachment_names_its_kind_in_the_query(recorder: Recorder, client: WeComClient) -> None:
    client.media.upload_attachment("image", 1, PNG, "a.png")
    request = recorder.take()
    assert (request.path, request.query) == (
        "/cgi-bin/media/upload_attachment",
        {"media_type": ["image"], "attachment_type": ["1"]},
    )


def test_a_refused_token_is_renewed_and_the_file_is_sent_again(recorder: Recorder, client: WeComClient) -> None:
    answers = iter(
        [{"errcode": 42001, "errmsg": "access_token expired"}, {"errcode": 0, "errmsg": "", "media_id": "m"}]
    )
    recorder.answer = lambda request: next(answers)
    assert client.media.upload("image", PNG, "a.png")["media_id"] == "m"
    first, second = recorder.requests
    assert parts(first)[1] == parts(second)[1] == PNG


def test_an_upload_may_take_longer_than_a_connection(recorder: Recorder, client: WeComClient) -> None:
    """The server reads slowly at first: 20 MB do not fit into the sockets' buffers."""
    reading = threading.Event()
    threading.Timer(2.5, reading.set).start()
    server = recorder._server.RequestHandlerClass
    read = server.do_POST  # type: ignore[attr-defined]

    def slow(self: object) -> None:
        reading.wait(5)
        read(self)

    server.do_POST = slow  # type: ignore[attr-defined]
    try:
        client.media.upload("file", bytes(20 << 20), "a.bin")
    finally:
        server.do_POST = read  # type: ignore[attr-defined]
    assert len(recorder.take().body) > 20 << 20


def test_an_upload_ends_at_its_deadline(recorder: Recorder, client: WeComClient) -> None:
    reading = threading.Event()
    server = recorder._server.RequestHandlerClass
    read = server.do_POST  # type: ignore[attr-defined]
    server.do_POST = lambda self: reading.wait(60)  # type: ignore[attr-defined]
    started = time.monotonic()
    try:
        with pytest.raises(NoAnswer):
            client.with_deadline(started + 0.5).media.upload("file", bytes(20 << 20), "a.bin")
        assert time.monotonic() - started < 30
    finally:
        server.do_POST = read  # type: ignore[attr-defined]
        reading.set()


# ------------------------------------------------------------------------------------------------ download


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="MEDIA_ID.jpg"', "MEDIA_ID.jpg"),
        ("attachment; filename=MEDIA_ID.jpg", "MEDIA_ID.jpg"),
        ("attachment; filename=\"x.jpg\"; filename*=utf-8''%E5%9B%BE.png", "图.png"),
        ("attachment; filename*=UTF-8''%E4%BB%B7%E6%A0%BC.pdf", "价格.pdf"),
        ('attachment; filename="图.png"'.encode().decode("latin-1"), "图.png"),
        ("attachment", ""),
        ('attachment; filename="a;b.pdf"', "a;b.pdf"),
        ('attachment; filename="a=b; filename=c.pdf"', "a=b; filename=c.pdf"),
        ('attachment; filename="he said \\"hi\\".pdf"', 'he said "hi".pdf'),
        ('attachment; filename="a\\\\;b.pdf"; size=3', ";b.pdf"),  # a backslash parts folders
        ("attachment; filename=a b.pdf; size=3", "a b.pdf"),
        ('attachment; FileName = "a.pdf"', "a.pdf"),
        ('filename="a.pdf"', "a.pdf"),
        ('attachment; xfilename="no.pdf"; filename="a.pdf"', "a.pdf"),
        ('attachment; filename="never closed.pdf', "never closed.pdf"),
        ('attachment; filename=""', ""),
        ("attachment; filename*=UTF-8'zh'%E4%BB%B7%3B%E6%A0%BC.pdf; filename=x.pdf", "价;格.pdf"),
        ("attachment; filename*=GBK''%BC%DB.pdf; filename=x.pdf", "价.pdf"),
        ("attachment; filename*=iso-8859-1'en'%A3.pdf", "£.pdf"),
        ("attachment; filename*=\"UTF-8''a%20b.pdf\"", "a b.pdf"),
        ("attachment; filename*=nonsense''%E4.pdf; filename=x.pdf", "x.pdf"),
        ("attachment; filename*=UTF-8''%E4.pdf; filename=x.pdf", "x.pdf"),
        ('attachment; filename*0="a;"; filename*1="b.pdf"', "a;b.pdf"),
        ("attachment; filename*0*=UTF-8''%E4%BB; filename*1*=%B7.pdf", "价.pdf"),
        ('attachment; filename="=?UTF-8?B?5Lu3LnBkZg==?="', "价.pdf"),
        ('attachment; filename="价.pdf"'.encode("gbk").decode("latin-1"), "价.pdf"),
        ('attachment; filename="caf\xe9.pdf"', "café.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\dir\\a.pdf"', "a.pdf"),
    ],
)
def test_a_file_comes_back_with_its_name(disposition: str, name: str, recorder: Recorder, client: WeComClient) -> None:
    headers = {"Content-Disposition": disposition, "Content-Type": "image/png"}
    recorder.answer = lambda request: Reply(PNG, headers)
    file = client.media.get("m")
    assert (file.filename, file.content_type, file.size, file.content) == (name, "image/png", len(PNG), PNG)
    assert recorder.take().query == {"media_id": ["m"]}


def test_a_file_of_json_is_a_file(recorder: Recorder, client: WeComClient) -> None:
    content = b'{"errcode": 40007, "errmsg": "not an answer"}'
    recorder.answer = lambda request: Reply(content, {"Content-Disposition": 'attachment; filename="a.json"'})
    assert client.media.get("m").content == content


def test_an_error_in_place_of_a_file_is_raised(recorder: Recorder, client: WeComClient) -> None:
    recorder.answer = lambda request: {"errcode": 40007, "errmsg": "invalid media_id"}
    with pytest.raises(MediaRefused):
        client.media.get("m")
    recorder.answer = lambda request: {"errcode": 0, "errmsg": "ok"}
    with pytest.raises(NoAnswer, match="no file"):
        client.media.get("m")
    recorder.answer = lambda request: Reply(b"<html>", {"Content-Type": "text/html"}, status=502)
    with pytest.raises(NoAnswer, match="HTTP 502"):
        client.media.get("m")


def test_a_file_is_read_in_parts(recorder: Recorder, client: WeComClient) -> None:
    headers = {"Content-Disposition": 'attachment; filename="a"', "Content-Range": "bytes 4-7/264"}
    recorder.answer = lambda request: Reply(PNG[4:8], headers, status=206)
    file = client.media.get("m", 4, 7)
    assert (file.size, file.content) == (264, PNG[4:8])
    assert recorder.take().headers["Range"] == "bytes=4-7"
    client.media.get("m", first=4)
    assert recorder.take().headers["Range"] == "bytes=4-"
    client.media.get("m", last=7)
    assert recorder.take().headers["Range"] == "bytes=0-7"


def test_an_uploaded_file_comes_back_unchanged(wecom: StandIn) -> None:
    app = wecom.register(App.random())
    client = WeComClient(app.corp_id, app.secret, wecom.base_url)
    uploaded = client.media.upload("file", PNG, "封面 一.png")
    file = client.media.get(uploaded["media_id"])
    assert (file.filename, file.content) == ("封面 一.png", PNG)
    middle = client.media.get(uploaded["media_id"], 100, 109)
    assert (middle.size, middle.content) == (len(PNG), PNG[100:110])
    assert client.media.uploadimg(PNG, "a.png")["url"].startswith("https://")
    job = client.media.upload_by_url(1, "file", "大.pdf", "https://example.com/a.pdf", "0" * 32)["jobid"]
    assert client.media.get_upload_by_url_result(job)["status"] == 2
    client.close()
