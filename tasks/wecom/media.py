"""素材: files for messages, upload and download. Docs 90253, 90254, 90255, 90256, 95098, 96219."""

import os
from pathlib import Path

from .calls import DOWNLOAD, POST, UPLOAD, Download, Fields, FileUpload, Resource
from .limits import LimitExceeded, one_of, utf8_bytes
from .message_limits import FILE_LEAST, FILE_MOST, PERMANENT_IMAGE_MOST

IMAGES = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png"}  # first bytes of a file → its type

Content = bytes | str | os.PathLike[str]  # the bytes, or the file that holds them


class Media(Resource):
    """Calls below media/. Parameter `media`: the bytes themselves, or the path of a file."""

    @UPLOAD("media/upload")
    def upload(self, type: str, media: Content, filename: str | None = None) -> FileUpload:
        """Upload media for messages. It is valid for three days, in every app of the corp. Doc 90253.

        type: image (JPG, PNG; at most 10 MB), voice (AMR; 2 MB, 60 s), video (MP4; 10 MB) or file (20 MB); each of more
        than five bytes. media: bytes, or a file's path. filename: the name that recipients see; by default that of the
        path.
        → {"type", "media_id", "created_at": Unix seconds as a text}
        Errors: BadRequest 40004 to 40011 and 45001 for media that WeCom does not accept.
        """
        one_of("type", type, *FILE_MOST)
        name, content = _file(media, filename)
        _check(content, FILE_MOST[type], image=type == "image")
        return FileUpload(name, content, {"type": type})

    @UPLOAD("media/uploadimg")
    def uploadimg(self, media: Content, filename: str | None = None) -> FileUpload:
        """Upload a permanent image, for the pic_url of messages inside WeCom. Doc 90256.

        media: bytes, or a file's path; JPG or PNG, of more than five bytes and at most 2 MB. filename: ignored by
        WeCom. A corp may upload at most 1000 per day and 3000 per month.
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
        bytes, or a file's path; limits as for upload. filename: the name that recipients see; by default that of the
        path.
        → {"type", "media_id", "created_at"}; it is valid for three days.
        """
        one_of("media_type", media_type, "image", "video", "file")
        one_of("attachment_type", attachment_type, 1, 2)
        name, content = _file(media, filename)
        _check(content, FILE_MOST[media_type], image=media_type == "image")
        return FileUpload(name, content, {"media_type": media_type, "attachment_type": attachment_type})

    @DOWNLOAD("media/get")
    def get(self, media_id: str, first: int | None = None, last: int | None = None) -> Download:
        """Download uploaded media. Doc 90254.

        media_id: its id. first, last: the first and last byte of a part, from 0; above 20 MB WeCom requires parts.
        → DownloadedFile(filename, content_type, size of the whole, content)
        Errors: MediaRefused 40007 for media older than three days, BadRequest 830002 above 20 MB without parts.
        """
        return Download({"media_id": media_id}, first, last)

    @DOWNLOAD("media/get/jssdk")
    def get_jssdk(self, media_id: str) -> Download:
        """A voice that a member recorded with the JS-SDK, in high quality (speex). Doc 90255.

        media_id: from the JS-SDK's uploadVoice.
        → DownloadedFile(filename, content_type, size, content)
        Errors: MediaRefused 40007.
        """
        return Download({"media_id": media_id})

    @POST("media/upload_by_url")
    def upload_by_url(self, scene: int, type: str, filename: str, url: str, md5: str) -> Fields:
        """Have WeCom download a large file, at most 200 MB, for group welcomes only. Doc 96219.

        scene: 1, group welcomes. type: video or file. filename: at most 128 bytes. url: its address, at most 1024
        bytes; the server must support Range. md5: of the file, in hex.
        → {"jobid": id}; the result is also pushed as an event (upload_media_job_finish).
        """
        one_of("scene", scene, 1)
        one_of("type", type, "video", "file")
        utf8_bytes("filename", filename, 128, least=1)
        utf8_bytes("url", url, 1024, least=1)
        return {"scene": scene, "type": type, "filename": filename, "url": url, "md5": md5}

    @POST("media/get_upload_by_url_result")
    def get_upload_by_url_result(self, jobid: str) -> Fields:
        """The result of upload_by_url. Doc 96219.

        jobid: as returned by upload_by_url; valid for 60 minutes.
        → {"status": 1 in progress | 2 done | 3 failed, "detail": {errcode, errmsg, media_id, created_at}}
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
