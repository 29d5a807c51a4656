# SPDX-License-Identifier: Apache-2.0
"""Describe the real Python bindings of TensorRT as JSON: run as a script, a process for each version.

    real_bindings.py FOLDER MAJOR [WHAT...]

FOLDER holds the package tensorrt_bindings (or tensorrt_lean_bindings and tensorrt_lean_libs, with the
word `lean`). The bindings link to libraries that only NVIDIA's own index has; for reading their names and
signatures, libraries that export the few symbols they ask for are enough, and are compiled here.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

SYMBOLS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
    "_ZN11nvuffparser15createUffParserEv", "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv", "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)  # fmt: skip
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser", "nvparsers")


def load(folder: Path, major: str, *, lean: bool) -> ModuleType:
    """Import the bindings of a folder."""
    sys.path.insert(0, str(folder))
    if lean:
        importlib.import_module("tensorrt_lean_libs")  # loads the library
        return importlib.import_module("tensorrt_lean_bindings")
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "stub.c"
        source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
        for library in LIBRARIES:
            name = f"lib{library}.so.{major}"
            path = Path(scratch) / name
            subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source, f"-Wl,-soname,{name}"], check=True)
            ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
        return importlib.import_module("tensorrt_bindings")


def argument_counts(method: Any) -> list[list[int]]:
    """[least, most] numbers of arguments besides self, of each signature that the documentation has."""
    found = []
    for arguments in re.findall(r"\w+\(self: [\w.]+(.*?)\)(?: ->|$)", method.__doc__ or "", re.MULTILINE):
        each = [item for item in re.split(r", (?=\w+: )", arguments) if item.strip(", ")]
        found.append([sum(" = " not in item for item in each), len(each)])
    return found


def describe(module: ModuleType) -> dict[str, Any]:
    """Names of the module; of each class its members, with the numbers of arguments of its methods."""
    classes = {}
    for name, value in vars(module).items():
        if isinstance(value, type):
            members = {member: getattr(value, member) for member in dir(value) if not member.startswith("__")}
            classes[name] = {key: argument_counts(item) for key, item in members.items()}
    return {"version": module.__version__, "names": dir(module), "classes": classes}


if __name__ == "__main__":
    print(json.dumps(describe(load(Path(sys.argv[1]), sys.argv[2], lean="lean" in sys.argv[3:]))))
