# SPDX-License-Identifier: Apache-2.0
"""Every call of a process to the kernel that opens or changes a file waits until another process has decided on it.

The kernel does so itself (seccomp, SECCOMP_RET_USER_NOTIF, Linux 5.5): whatever language or library makes the call, in
whatever thread, it is counted, and it can be refused with any error. Nothing is compiled and no privilege is needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

# Name -> number, and the places of the descriptors and paths among the arguments: (folder, path) or (file,).
_X86_64 = {
    "openat": 257, "write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "sendfile": 40, "fallocate": 285,
    "ftruncate": 77, "fsync": 74, "fdatasync": 75, "copy_file_range": 326, "rename": 82, "renameat": 264,
    "renameat2": 316, "mkdir": 83, "mkdirat": 258, "unlink": 87, "unlinkat": 263, "rmdir": 84, "flock": 73,
}  # fmt: skip
_AARCH64 = {
    "openat": 56, "write": 64, "pwrite64": 68, "writev": 66, "pwritev": 70, "sendfile": 71, "fallocate": 47,
    "ftruncate": 46, "fsync": 82, "fdatasync": 83, "copy_file_range": 285, "renameat": 38, "renameat2": 276,
    "mkdirat": 34, "unlinkat": 35, "flock": 32,
}  # fmt: skip
_TABLES = {"x86_64": (_X86_64, 317), "aarch64": (_AARCH64, 277)}
_FOLDER_AND_PATH = {"openat", "mkdirat", "unlinkat", "renameat", "renameat2"}
_PATH = {"rename", "mkdir", "unlink", "rmdir"}
_WRITES = ("write", "pwrite64", "writev", "pwritev", "sendfile")
# What needs room on the disk; `openat` where it makes a file.
_GROWS = {*_WRITES, "copy_file_range", "fallocate", "mkdir", "mkdirat"}
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_MAKES = {"openat", "mkdir", "mkdirat"}
_AT_FDCWD = -100
_PR_SET_NO_NEW_PRIVS, _SET_MODE_FILTER, _NEW_LISTENER = 38, 1, 1 << 3
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _ANY_BIT, _GREATER, _RETURN = 0x20, 0x15, 0x45, 0x25, 0x06
_ARGUMENTS_AT = 16
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
_SET_FLAGS, _SYNC_WAKE_UP = 0x40082104, 1
_NOTIFICATION, _RESPONSE = "QIIiIQ6Q", "QqiI"


@dataclass(frozen=True)
class Call:
    """A call that waits: its name, the file or folder that it is about, and what it would do.

    Attributes:
        changes: the folder's names or the file's content would be others afterwards, or reach the disk.
        grows: it needs room on the disk.
    """

    name: str
    path: str
    changes: bool
    grows: bool
    identity: int


def is_possible() -> bool:
    """Whether this system can do it: Linux with seccomp, on a processor whose numbers of calls are known here."""
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    return platform.machine() in _TABLES and actions.exists() and "user_notif" in actions.read_text()


def wait_at_calls(*, reads: bool) -> int:
    """Let this process wait from now on at every such call; the descriptor that another process decides with.

    Args:
        reads: also where a file is opened only to be read.

    Raises:
        OSError: the system refuses.
    """
    numbers, seccomp = _TABLES[platform.machine()]
    steps: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, 0)]
    for name, number in numbers.items():
        if name in _WRITES:  # but to the standard streams
            steps += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _ARGUMENTS_AT), (_GREATER, 0, 1, 2)]
            steps += [(_RETURN, 0, 0, _NOTIFY), (_RETURN, 0, 0, _ALLOW)]
        elif name == "openat" and not reads:
            steps += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _ARGUMENTS_AT + 2 * 8), (_ANY_BIT, 0, 1, _WRITE_FLAGS)]
            steps += [(_RETURN, 0, 0, _NOTIFY), (_RETURN, 0, 0, _ALLOW)]
        else:
            steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOTIFY)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = -1
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        descriptor = libc.syscall(seccomp, _SET_MODE_FILTER, _NEW_LISTENER, program)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "seccomp")
    return descriptor


def hurry(listener: int) -> None:
    """Let the two processes run in turns without waiting for the scheduler, where the system can (Linux 6.6)."""
    with contextlib.suppress(OSError):
        ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)


def receive(listener: int) -> Call | None:
    """The next call; None where its process was killed meanwhile."""
    buffer = bytearray(struct.calcsize(_NOTIFICATION))
    try:
        ioctl(listener, _RECEIVE, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    identity, process, _, number, _, _, *arguments = struct.unpack(_NOTIFICATION, buffer)
    numbers, _ = _TABLES[platform.machine()]
    name = next(name for name, known in numbers.items() if known == number)
    path, changes, grows = "", name != "flock", name in _GROWS
    with contextlib.suppress(OSError):  # a file that has gone
        path = _path_of(name, process, arguments)
    if name == "openat":
        changes = bool(arguments[2] & _WRITE_FLAGS)
        grows = bool(arguments[2] & os.O_CREAT)
    grows = grows and not (name in _MAKES and os.path.lexists(path))
    return Call(name, path, changes, grows, identity)


def allow(listener: int, call: Call) -> None:
    """Let a call happen."""
    _answer(listener, call, 0, _CONTINUE)


def refuse(listener: int, call: Call, number: int) -> None:
    """Let a call fail with this errno."""
    _answer(listener, call, -number, 0)


def _answer(listener: int, call: Call, error: int, flags: int) -> None:
    try:
        ioctl(listener, _SEND, struct.pack(_RESPONSE, call.identity, 0, error, flags))
    except OSError as refused:
        if refused.errno != errno.ENOENT:  # the process is no more
            raise


def _path_of(name: str, process: int, arguments: list[int]) -> str:
    if name in _PATH:
        return _joined(process, _AT_FDCWD, _text(process, arguments[0]))
    folder = ctypes.c_int(arguments[2 if name == "copy_file_range" else 0] & 0xFFFFFFFF).value
    if name in _FOLDER_AND_PATH:
        return _joined(process, folder, _text(process, arguments[1]))
    return os.readlink(f"/proc/{process}/fd/{folder}")


def _joined(process: int, folder: int, path: str) -> str:
    if path.startswith("/"):
        return path
    base = os.readlink(f"/proc/{process}/cwd" if folder == _AT_FDCWD else f"/proc/{process}/fd/{folder}")
    return os.path.join(base, path)


def _text(process: int, address: int) -> str:
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        content = memory.read(min(4096, 4096 - address % 4096))
        if b"\0" not in content:
            content += memory.read(4096)
    return os.fsdecode(content.partition(b"\0")[0])
