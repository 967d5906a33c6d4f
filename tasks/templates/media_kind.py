"""What a file is, by its bytes and not by its name, and what WeCom takes of it. Pure. Docs 90253, 90256."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.messages import Message
from tasks.templates.model import Media

MB = 1 << 20
LEAST = 6  # bytes: "more than 5", doc 90253
PERMANENT_LIMIT = 2 * MB  # of an image that is to get a permanent URL, doc 90256
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


@dataclass(frozen=True, slots=True)
class Use:
    """What a file is for. `kinds` () takes all."""

    takes: Message
    kinds: tuple[str, ...]
    limit: int  # bytes
    cure: Message


IMAGE = Use(Message.of("JPG and PNG"), ("JPG", "PNG"), 10 * MB, Message.of("save it as JPG, or smaller"))
VIDEO = Use(Message.of("MP4"), ("MP4",), 10 * MB, Message.of("cut it, or lower its quality"))
FILE = Use(Message.of("any file"), (), 20 * MB, Message.of("shorten it, or link to it"))
LARGEST = FILE.limit  # bytes; what is larger need not be read


def sniff(content: bytes) -> str:
    """The kind of a file, by its first bytes."""
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "MP4")
    if content[:4] == b"RIFF" and content[8:12] in _RIFF:
        return _RIFF[content[8:12]]
    return next((kind for beginning, kind in _BEGINNINGS if content.startswith(beginning)), OTHER)


def refusal(media: Media, use: Use) -> Message | None:
    """Why WeCom would not take a file for this use, and what to do; None if it would."""
    if media.size < LEAST:
        return Message.of(
            "%(path)s has %(size)s bytes; WeCom takes files of more than %(least)s",
            path=media.path,
            size=media.size,
            least=LEAST - 1,
        )
    if use.kinds and media.kind not in use.kinds:
        return Message.of(
            "%(path)s: this is %(kind)s; WeCom takes %(takes)s",
            path=media.path,
            kind=Message(media.kind),
            takes=use.takes,
        )
    if media.size > use.limit:
        return Message.of(
            "%(path)s has %(size)s MB; WeCom takes %(limit)s MB: %(cure)s",
            path=media.path,
            size=f"{media.size / MB:.1f}",
            limit=use.limit // MB,
            cure=use.cure,
        )
    return None


def fits_permanently(media: Media) -> bool:
    """Whether an image can get a permanent URL."""
    return media.kind in IMAGE.kinds and LEAST <= media.size <= PERMANENT_LIMIT
