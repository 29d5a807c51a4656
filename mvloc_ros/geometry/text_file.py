# SPDX-License-Identifier: Apache-2.0
"""Text files of any system -> text: the only place where their bytes are decoded.

UTF-8 with or without a byte order mark, and UTF-16 with one (what Windows' shells write). All else is refused with the
line: another encoding would be misread silently.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import ReadError, read_file
from mvloc_ros.foreign_text import quoted
from mvloc_ros.limits import MOST_TEXT_BYTES


def read_text(
    path: Path | str,
    what: str = "file",
    error: type[MvlocError] = MvlocError,
    most_bytes: int = MOST_TEXT_BYTES,
) -> str:
    """The text of a file.

    Args:
        path: the file.
        what: it is, for the sentence, as `trajectory`.
        error: the class that is raised.
        most_bytes: the largest size that is accepted.

    Raises:
        MvlocError: as `error`; the file cannot be read or is no text.
    """
    path = Path(path)
    try:
        data = read_file(path, most_bytes)
    except ReadError as problem:
        raise error(f"The {what} {path} cannot be read ({problem.strerror}).") from problem
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        number = before.count(b"\n") + 1
        line = data[before.rfind(b"\n") + 1 :].split(b"\n", 1)[0].decode("ascii", "backslashreplace")
        raise error(
            f"Line {number} of the {what} {path} is not UTF-8: {quoted(line)}; save the file as UTF-8."
        ) from problem
    if "\0" in text:
        raise error(
            f"The {what} {path} is not text, since it contains zero bytes (UTF-16, or damaged); save it as UTF-8."
        )
    return text
