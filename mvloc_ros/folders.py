# SPDX-License-Identifier: Apache-2.0
"""A finished folder takes the place of an older one; at no moment is there neither."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def replace_folder(new: Path, path: Path) -> None:
    """Give the folder `new` the name `path`; what had that name is deleted afterwards.

    Both lie on one file system. A symbolic link stays, and the folder that it leads to is replaced. Raises OSError
    where that cannot be done; then, and after an interruption, the old folder is where it was.
    """
    path = path.resolve()
    if not path.exists():
        os.replace(new, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    old = aside / path.name
    try:
        os.replace(path, old)
        os.replace(new, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    finally:
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
