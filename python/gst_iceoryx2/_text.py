"""Text of others: whatever a name, a path, a tag or a message contains, it is read and shown, and steers nothing.

Bytes become text by `decoded`, names of files by `os.fsdecode`; a person is shown `printable` text only.
"""

from __future__ import annotations


def decoded(data: bytes) -> str:
    """Text in UTF-8; bytes that are not UTF-8 become U+FFFD."""
    return data.decode("utf-8", "replace")


def printable(text: str) -> str:
    r"""Text in one line that steers no terminal and can be encoded: an escape character becomes `\x1b`.

    A byte of a file name that is not UTF-8 becomes `\xe9`.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # How Python keeps such a byte. Source: PEP 383.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def whole(text: str) -> str:
    """Text that is valid Unicode: half of a surrogate pair, as in a file name that is not UTF-8, becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
