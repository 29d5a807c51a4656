# SPDX-License-Identifier: Apache-2.0
"""The API documentation, from the docstrings, as HTML pages: `make docs` writes it to out/api. A warning is an error.

.venv/bin/python tools/api_docs.py --out out/api
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import shutil
import sys
import typing
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MISSING = "api_docs: {} is not installed; `make docs` installs what the pages need and writes them."


def import_all() -> list[str]:
    """Import every module of the source tree; their names."""
    import mvloc_ros

    source = [str(ROOT / "mvloc_ros")]
    names = [found.name for found in pkgutil.walk_packages(source, "mvloc_ros.")]
    for name in names:
        importlib.import_module(name)
    # From now on without the folder of the generated messages, which ROS documents with every other message.
    mvloc_ros.__path__ = source
    return ["mvloc_ros", *names]


def resolve_named_tuples(names: list[str]) -> None:
    """Say where the annotations of named tuples are to be looked up: their constructors do not know their module."""
    for name in names:
        for value in vars(sys.modules[name]).values():
            if inspect.isclass(value) and issubclass(value, tuple) and value.__module__ == name:
                for annotation in value.__new__.__annotations__.values():
                    if isinstance(annotation, typing.ForwardRef):
                        annotation.__forward_module__ = name


def write(out: Path) -> int:
    """Write the pages into `out`, which is made again; how many they are."""
    from pdoc import extract, pdoc, render

    names = import_all()
    resolve_named_tuples(names)
    shutil.rmtree(out, ignore_errors=True)
    version = sys.modules["mvloc_ros"].__version__
    render.configure(docformat="google", show_source=False, footer_text=f"mvloc_ros {version}")
    # Of a package with `__all__`, pdoc takes only what that names: the other modules are named one by one.
    wanted = ["mvloc_ros"]
    while missing := sorted(set(names) - set(extract.walk_specs(wanted))):
        wanted.append(missing[0])
    pdoc(*wanted, output_directory=out)
    return len(names)


def main() -> int:
    """0 when all pages are written without a warning, 1 where one came, 2 where pdoc or PyTorch is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "api", help="folder, made again (default: out/api)")
    arguments = parser.parse_args()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            pages = write(arguments.out)
        except ModuleNotFoundError as error:
            print(MISSING.format(error.name), file=sys.stderr)
            return 2
    found = [warning for warning in caught if "pdoc" in warning.filename]
    for warning in found:
        print(f"api_docs: {warning.message}", file=sys.stderr)
    print(f"{pages} pages in {arguments.out}, {len(found)} warnings")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
