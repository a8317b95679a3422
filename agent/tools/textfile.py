"""A text file's bytes as text, and back into the same encoding, byte order mark and line ends."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace

WHOLE_LIMIT = 10_000_000
"""Bytes up to which a file is taken into memory whole."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 first: its little-endian mark begins with UTF-16's."""


class NotText(ValueError):
    """The bytes are not a text in any encoding known here."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """`text` has the line ends of the file and no byte order mark; `encoding` is Python's name for it."""

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> TextFile:
        """By its byte order mark, else UTF-8, else Windows-1252, else Latin-1. Raises NotText."""
        for mark, encoding in MARKS:
            if data.startswith(mark):
                try:
                    return cls(data[len(mark) :].decode(encoding), encoding, mark)
                except UnicodeDecodeError as error:
                    raise NotText(f"it begins as {encoding} but is not: {error.reason}") from None
        if looks_binary(data):
            raise NotText("it is binary")
        for encoding in ("utf-8", "cp1252"):
            try:
                return cls(data.decode(encoding), encoding)
            except UnicodeDecodeError:
                continue
        return cls(data.decode("latin-1"), "latin-1")

    def encode(self) -> bytes:
        """The file's bytes. Raises UnicodeEncodeError for a character that the encoding doesn't have."""
        return self.mark + self.text.encode(self.encoding)

    def with_text(self, text: str) -> TextFile:
        return replace(self, text=text)

    @property
    def crlf(self) -> bool:
        """Whether all line ends are CR LF."""
        ends = self.text.count("\r\n")
        return ends > 0 and ends == self.text.count("\n")

    @property
    def plain(self) -> str:
        """The text with LF line ends, as the model reads it."""
        return self.text.replace("\r\n", "\n")

    @property
    def peculiarity(self) -> str:
        """What is special about the file, such as `windows-1252, CRLF line ends`; else ""."""
        names = {"cp1252": "windows-1252", "utf-8": "UTF-8 with a byte order mark" if self.mark else ""}
        ends = "CRLF line ends" if self.crlf else "some CRLF line ends" if "\r\n" in self.text else ""
        return ", ".join(part for part in (names.get(self.encoding, self.encoding), ends) if part)


def looks_binary(head: bytes) -> bool:
    """Whether these first bytes are no text's: a NUL without a byte order mark, or a document format's."""
    if any(head.startswith(mark) for mark, _ in MARKS):
        return False
    return b"\0" in head[:8192] or head.startswith(b"%PDF-")


def image_type(head: bytes) -> str | None:
    """The media type of an image that models can see, by its first bytes."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None
