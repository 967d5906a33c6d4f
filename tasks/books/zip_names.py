"""The names of a .zip's entries, as people's programs write them. Pure.

A name is UTF-8 if its flag says so. Without the flag it should be cp437, and is what the system has: GBK on Windows in
China, UTF-8 on macOS. Windows' own programs part folders by a backslash, macOS decomposes accents (NFD) and adds
`__MACOSX/._name` for each file, and some put ./ in front. APPNOTE.TXT 4.4.4, 4.4.17, 4.6.9.
"""

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence

ENCODINGS = ("utf-8", "gb18030", "big5", "cp437")  # of a name without the flag: the first that fits is likeliest
_IS_UTF8 = 0x800
_UNICODE_PATH = 0x7075  # an extra field: version 1, CRC-32 of the name's bytes, the name in UTF-8


class Names:
    """The files of an archive by name, in every encoding that their names may have."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._by_name: list[dict[str, zipfile.ZipInfo]] = [{} for _ in ENCODINGS]
        self._names: list[tuple[zipfile.ZipInfo, list[str]]] = []
        for info in archive.infolist():
            names = [normal(name) for name in _readings(info)]
            if any(_is_no_file(name) for name in names):
                continue
            self._names.append((info, names))
            for known, name in zip(self._by_name, names, strict=True):
                known[name] = info

    def files(self) -> Iterator[tuple[zipfile.ZipInfo, Sequence[str]]]:
        """Each file with its name in each of the ENCODINGS, the likeliest first."""
        yield from self._names

    def beside(self, names: Sequence[str], path: str) -> zipfile.ZipInfo | None:
        """The file at a path beside another one, which has these names; None if there is none."""
        for known, name in zip(self._by_name, names, strict=True):
            found = known.get(normal(f"{name.rpartition('/')[0]}/{path}"))
            if found is not None:
                return found
        return None


def normal(path: str) -> str:
    """A path as it is compared: folders parted by /, composed accents, no empty or . folder; a folder ends with /."""
    parts = path.replace("\\", "/").split("/")
    folder = "/" if parts[-1] in ("", ".") else ""
    return unicodedata.normalize("NFC", "/".join(part for part in parts if part not in ("", "."))) + folder


def _is_no_file(name: str) -> bool:
    """A folder, or what macOS adds beside each file."""
    return name.endswith("/") or name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


def _readings(info: zipfile.ZipInfo) -> list[str]:
    """An entry's name in each of the ENCODINGS; where one does not fit, in the first that does."""
    if info.flag_bits & _IS_UTF8:
        return [info.filename] * len(ENCODINGS)
    try:
        raw = info.orig_filename.encode("cp437")  # as zipfile decoded it
    except UnicodeEncodeError:
        return [info.filename] * len(ENCODINGS)
    told = _unicode_path(info.extra, raw)
    if told is not None:
        return [told] * len(ENCODINGS)
    readings = [_decoded(raw, encoding) for encoding in ENCODINGS]
    first = next(one for one in readings if one is not None)  # cp437 fits always
    return [first if one is None else one for one in readings]


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name of the extra field, if it is there and still that of this entry."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(content) > 5 and content[0] == 1:
            (crc,) = struct.unpack("<L", content[1:5])
            return _decoded(content[5:], "utf-8") if crc == zlib.crc32(raw) else None
    return None
