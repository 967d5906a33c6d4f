"""素材: files for messages, up and down. Docs 90253, 90254, 90255, 90256, 95098, 96219."""

import os
from pathlib import Path

from .calls import DOWNLOAD, POST, UPLOAD, Download, Fields, FileUpload, Resource
from .limits import LimitExceeded, one_of, utf8_bytes
from .message_limits import FILE_LEAST, FILE_MOST, PERMANENT_IMAGE_MOST

IMAGES = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png"}  # how a file begins → what it is

Content = bytes | str | os.PathLike[str]  # the bytes, or the file that holds them


class Media(Resource):
    """Calls below media/. A `media` is the bytes themselves, or the path of a file."""

    @UPLOAD("media/upload")
    def upload(self, type: str, media: Content, filename: str | None = None) -> FileUpload:
        """Upload material for messages. It lives three days, for every app of the corp. Doc 90253.

        type: image (JPG, PNG; at most 10 MB), voice (AMR; 2 MB, 60 s), video (MP4; 10 MB) or file (20 MB); all of more
        than five bytes. media: bytes, or a file's path. filename: what receivers see; the path's own unless given.
        → {"type", "media_id", "created_at": Unix seconds as a text}
        Errors: BadRequest 40004 to 40011 and 45001 for what WeCom does not take.
        """
        one_of("type", type, *FILE_MOST)
        name, content = _file(media, filename)
        _check(content, FILE_MOST[type], image=type == "image")
        return FileUpload(name, content, {"type": type})

    @UPLOAD("media/uploadimg")
    def uploadimg(self, media: Content, filename: str | None = None) -> FileUpload:
        """Upload an image for good, for the pic_url of messages inside WeCom. Doc 90256.

        media: bytes, or a file's path; JPG or PNG, of more than five bytes and at most 2 MB. filename: of no
        consequence. A corp uploads at most 1000 a day and 3000 a month.
        → {"url": URL}
        """
        name, content = _file(media, filename)
        _check(content, PERMANENT_IMAGE_MOST, image=True)
        return FileUpload(name, content)

    @UPLOAD("media/upload_attachment")
    def upload_attachment(
        self, media_type: str, attachment_type: int, media: Content, filename: str | None = None
    ) -> FileUpload:
        """Upload an attachment for moments or product albums; elsewhere its id is not valid (40007). Doc 95098.

        media_type: image, video or file. attachment_type: 1 moments (no files), 2 product albums (images only). media:
        bytes, or a file's path; limits as of upload. filename: what receivers see; the path's own unless given.
        → {"type", "media_id", "created_at"}; it lives three days.
        """
        one_of("media_type", media_type, "image", "video", "file")
        one_of("attachment_type", attachment_type, 1, 2)
        name, content = _file(media, filename)
        _check(content, FILE_MOST[media_type], image=media_type == "image")
        return FileUpload(name, content, {"media_type": media_type, "attachment_type": attachment_type})

    @DOWNLOAD("media/get")
    def get(self, media_id: str, first: int | None = None, last: int | None = None) -> Download:
        """Uploaded material. Doc 90254.

        media_id: which. first, last: the first and the last byte of a part, from 0; above 20 MB WeCom wants parts.
        → File(filename, content_type, size of the whole, content)
        Errors: MediaRefused 40007 for material older than three days, BadRequest 830002 above 20 MB without parts.
        """
        return Download({"media_id": media_id}, first, last)

    @DOWNLOAD("media/get/jssdk")
    def get_jssdk(self, media_id: str) -> Download:
        """A voice that a member recorded with the JS-SDK, in high quality (speex). Doc 90255.

        media_id: from the JS-SDK's uploadVoice.
        → File(filename, content_type, size, content)
        Errors: MediaRefused 40007.
        """
        return Download({"media_id": media_id})

    @POST("media/upload_by_url")
    def upload_by_url(self, scene: int, type: str, filename: str, url: str, md5: str) -> Fields:
        """Let WeCom fetch a large file, at most 200 MB, for group welcomes alone. Doc 96219.

        scene: 1, group welcomes. type: video or file. filename: at most 128 bytes. url: where it is, at most 1024
        bytes; the server must know Range. md5: of the file, in hex.
        → {"jobid": id}; the result is pushed to callbacks too (upload_media_job_finish).
        """
        one_of("scene", scene, 1)
        one_of("type", type, "video", "file")
        utf8_bytes("filename", filename, 128, least=1)
        utf8_bytes("url", url, 1024, least=1)
        return {"scene": scene, "type": type, "filename": filename, "url": url, "md5": md5}

    @POST("media/get_upload_by_url_result")
    def get_upload_by_url_result(self, jobid: str) -> Fields:
        """What became of upload_by_url. Doc 96219.

        jobid: what it gave; kept for 60 minutes.
        → {"status": 1 under way | 2 done | 3 failed, "detail": {errcode, errmsg, media_id, created_at}}
        """
        return {"jobid": jobid}


def _file(media: Content, filename: str | None) -> tuple[str, bytes]:
    """(name, content)."""
    if isinstance(media, bytes):
        if not filename:
            raise LimitExceeded("filename", "none", "it is required where media is bytes")
        return filename, media
    path = Path(media)
    try:
        return filename or path.name, path.read_bytes()
    except OSError as error:
        raise LimitExceeded("media", f"{path.name}: {error.strerror}", "must be bytes, or a readable file") from None


def _check(content: bytes, most: int, image: bool) -> None:
    if not FILE_LEAST <= len(content) <= most:
        raise LimitExceeded("media", f"{len(content)} bytes", f"more than {FILE_LEAST - 1} and at most {most}")
    if image and not content.startswith(tuple(IMAGES)):
        raise LimitExceeded("media", "neither JPG nor PNG", "an image must be one")
