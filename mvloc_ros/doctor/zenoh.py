# SPDX-License-Identifier: Apache-2.0
"""Zenoh (rmw_zenoh_cpp): nodes find each other through a router, which has to run before images can arrive."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mvloc_ros.doctor.findings import Finding, error, note, ok, warning
from mvloc_ros.errors import MvlocError
from mvloc_ros.file_reader import read_file
from mvloc_ros.foreign_text import shown
from mvloc_ros.limits import MOST_MIDDLEWARE_BYTES

SESSION, OVERRIDE = "ZENOH_SESSION_CONFIG_URI", "ZENOH_CONFIG_OVERRIDE"
_DEFAULT_ENDPOINTS = ("tcp/localhost:7447",)
_ROUTER = "start one on this machine: ros2 run rmw_zenoh_cpp rmw_zenohd"
_CONNECT_S = 1.0
# Text, a comment, or any other character of JSON5, so that `//` in a text begins no comment.
_TOKEN = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|//[^\n]*|/\*.*?\*/|(.)""", re.DOTALL)


@dataclass(frozen=True)
class Session:
    """What a node's session is configured to do; None: not stated, so that rmw_zenoh_cpp's own default holds."""

    endpoints: tuple[str, ...] = _DEFAULT_ENDPOINTS
    is_multicast: bool | None = None
    shares_memory: bool | None = None


def examine_zenoh(environ: Mapping[str, str]) -> list[Finding]:
    """Whether a router answers, and whether large messages may go through shared memory."""
    try:
        session = configured(environ)
    except MvlocError as problem:
        return [error("Zenoh", f"{SESSION} cannot be used: {problem}", f"name a JSON5 file, or unset {SESSION}")]
    return [_router(session), _memory(session)]


def configured(environ: Mapping[str, str]) -> Session:
    """The session by the file of ZENOH_SESSION_CONFIG_URI, or rmw_zenoh_cpp's own, with ZENOH_CONFIG_OVERRIDE over it.

    Raises:
        MvlocError: the file cannot be read.
    """
    text = ""
    file = Path(environ[SESSION]) if environ.get(SESSION) else _own_file(environ)
    if file:
        raw = read_file(file, MOST_MIDDLEWARE_BYTES).decode("utf-8", errors="replace")
        text = _TOKEN.sub(lambda found: found[1] or found[2] or " ", raw)
    fields = dict(part.split("=", 1) for part in environ.get(OVERRIDE, "").split(";") if "=" in part)
    fields = {name.strip().strip("/"): value for name, value in fields.items()}
    connect = fields.get("connect/endpoints", _value(text, "connect", "endpoints"))
    multicast = fields.get("scouting/multicast/enabled", _value(text, "scouting", "multicast", "enabled"))
    memory = fields.get("transport/shared_memory/enabled", _value(text, "transport", "shared_memory", "enabled"))
    endpoints = _DEFAULT_ENDPOINTS if connect is None else tuple(re.findall(r"""["']([^"']+)["']""", connect))
    return Session(endpoints, _flag(multicast), _flag(memory))


def _own_file(environ: Mapping[str, str]) -> Path | None:
    """The configuration that comes with rmw_zenoh_cpp, where that is installed."""
    prefixes = (Path(name) for name in environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if name)
    name = Path("share", "rmw_zenoh_cpp", "config", "DEFAULT_RMW_ZENOH_SESSION_CONFIG.json5")
    return next((path for prefix in prefixes if (path := prefix / name).is_file()), None)


def _value(text: str, *path: str) -> str | None:
    """What follows a name in JSON5 without comments, each name of the path inside of the block of the one before."""
    for name in path[:-1]:
        text = _block(text, name)
    items = r"""(?:"[^"]*"|'[^']*'|[^\]"'])*"""
    found = re.search(rf"""["']?\b{path[-1]}\b["']?\s*:\s*(\[{items}\]|\{{[^}}]*\}}|[^,}}\s]+)""", text)
    return found[1] if found else None


def _block(text: str, name: str) -> str:
    """The text between the braces that follow a name, or nothing."""
    found = re.search(rf"""["']?\b{name}\b["']?\s*:\s*\{{""", text)
    if not found:
        return ""
    depth = 1
    for end in range(found.end(), len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            return text[found.end() : end]
    return text[found.end() :]


def _flag(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get((text or "").strip())


def _router(session: Session) -> Finding:
    subject, names = "Zenoh router", ", ".join(shown(name, 60) for name in session.endpoints)
    if not session.endpoints:
        fact = "the session is configured to connect to none"
        return note(subject, fact) if session.is_multicast else warning(subject, fact, _ROUTER)
    answers = [_answers(name) for name in session.endpoints]
    if any(answers):
        return ok(subject, f"answers at {shown(session.endpoints[answers.index(True)], 60)}")
    if all(answer is None for answer in answers):
        return note(subject, f"{names}: whether it answers is looked at for tcp only")
    if session.is_multicast:
        return note(subject, f"none answers at {names}; the nodes look for each other by multicast")
    fact = f"none answers at {names}: without one the nodes do not find each other, and no image arrives"
    return warning(subject, fact, f"{_ROUTER}; or name the right one in {OVERRIDE}")


def _answers(endpoint: str) -> bool | None:
    """Whether something accepts TCP connections there; None for other protocols and for what is no address."""
    found = re.fullmatch(r"tcp/\[?([^\]#?]+?)\]?:(\d{1,5})(?:[#?].*)?", endpoint)
    if not found or int(found[2]) > 65535:
        return None
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=_CONNECT_S):
            return True
    except OSError:
        return False


def _memory(session: Session) -> Finding:
    subject = "Zenoh shared memory"
    if session.shares_memory:
        return ok(subject, "enabled; used where it is enabled in the camera's process too")
    stated = "off" if session.shares_memory is False else "not configured"
    remedy = f"export {OVERRIDE}='transport/shared_memory/enabled=true' for the camera and the node"
    return note(subject, f"{stated}; images go over TCP on this machine", remedy)
