"""The kind of a file, by its bytes and not its name, and which files WeCom accepts. Pure. Docs 90253, 90256."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.messages import Message
from tasks.templates.model import Media
from tasks.wecom.message_limits import FILE_LEAST, FILE_MOST, PERMANENT_IMAGE_MOST

MB = 1 << 20  # bytes
OTHER = "a file of another kind"

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"%PDF-", "PDF"),
    (b"\x1aE\xdf\xa3", "MKV or WebM"),
    (b"FLV\x01", "FLV"),
    (b"PK\x03\x04", "ZIP or Office"),
    (b"<svg", "SVG"),
)
_RIFF: Mapping[bytes, str] = {b"WEBP": "WebP", b"AVI ": "AVI"}
_BRANDS: Mapping[bytes, str] = {  # of ISO media files; every other brand is MP4
    b"qt  ": "QuickTime (MOV)",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"M4A ": "M4A (audio)",
}


KINDS: Mapping[str, Message] = {  # in words
    OTHER: Message.of("a file of another kind"),
    "ZIP or Office": Message.of("a ZIP or Office file"),
    "MKV or WebM": Message.of("an MKV or WebM video"),
    "QuickTime (MOV)": Message.of("a QuickTime video (MOV)"),
    "M4A (audio)": Message.of("an M4A sound"),
    "JPG": Message.of("a JPG image"),
    "PNG": Message.of("a PNG image"),
    "GIF": Message.of("a GIF image"),
    "BMP": Message.of("a BMP image"),
    "TIFF": Message.of("a TIFF image"),
    "WebP": Message.of("a WebP image"),
    "HEIC": Message.of("a HEIC image"),
    "AVIF": Message.of("an AVIF image"),
    "SVG": Message.of("an SVG image"),
    "PDF": Message.of("a PDF file"),
    "MP4": Message.of("an MP4 video"),
    "AVI": Message.of("an AVI video"),
    "FLV": Message.of("an FLV video"),
}


@dataclass(frozen=True, slots=True)
class Use:
    """What a file is used for, and which files are accepted. `kinds` () accepts all."""

    takes: Message
    kinds: tuple[str, ...]
    limit: int  # bytes
    cure: Message


IMAGE = Use(Message.of("JPG and PNG"), ("JPG", "PNG"), FILE_MOST["image"], Message.of("save it as JPG, or smaller"))
VIDEO = Use(Message.of("MP4"), ("MP4",), FILE_MOST["video"], Message.of("cut it, or lower its quality"))
FILE = Use(Message.of("any file"), (), FILE_MOST["file"], Message.of("shorten it, or link to it"))
LARGEST = FILE.limit  # bytes; larger files need not be read


def sniff(content: bytes) -> str:
    """The kind of a file, by its first bytes."""
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "MP4")
    if content[:4] == b"RIFF" and content[8:12] in _RIFF:
        return _RIFF[content[8:12]]
    return next((kind for beginning, kind in _BEGINNINGS if content.startswith(beginning)), OTHER)


def refusal(media: Media, use: Use) -> Message | None:
    """Why WeCom would refuse a file for this use, and what to do; None if it would not."""
    if media.size < FILE_LEAST:
        return Message.of(
            "%(path)s has %(size)s bytes; WeCom takes files of more than %(least)s",
            path=media.path,
            size=media.size,
            least=FILE_LEAST - 1,
        )
    if use.kinds and media.kind not in use.kinds:
        return Message.of(
            "%(path)s: this is %(kind)s; WeCom takes only %(takes)s here",
            path=media.path,
            kind=KINDS.get(media.kind, media.kind),
            takes=use.takes,
        )
    if media.size > use.limit:
        return too_large(media.path, f"{media.size / MB:.1f}", use)
    return None


def too_large(path: str, size: str, use: Use) -> Message:
    """The message that a file of `size` MB is too large."""
    return Message.of(
        "%(path)s has %(size)s MB; WeCom takes only %(limit)s MB here: %(cure)s",
        path=path,
        size=size,
        limit=use.limit // MB,
        cure=use.cure,
    )


def fits_permanently(media: Media) -> bool:
    """Whether an image can get a permanent URL."""
    return media.kind in IMAGE.kinds and FILE_LEAST <= media.size <= PERMANENT_IMAGE_MOST
