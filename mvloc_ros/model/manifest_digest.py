# SPDX-License-Identifier: Apache-2.0
"""The digest of a whole bundle: SHA-256 over all values of its manifest, which list the digests of its files.

It shows damage, and whether two robots have the same model. It is no signature: who changes a manifest on purpose can
compute it again, or remove it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "digest"
"""The name of the digest among the values."""
_LARGEST_EXACT = 2.0**53


def bundle_digest(values: Mapping[str, Any]) -> str:
    """SHA-256 in hexadecimal of a manifest's values but for the digest itself.

    Of their canonical form: names sorted, no spaces, ASCII, and a whole number written the same with and without a
    decimal point, so that reformatting the file changes nothing.

    Raises:
        ValueError: a number is not finite.
    """
    content = {name: value for name, value in values.items() if name != DIGEST}
    text = json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT:
        return int(value)
    return value
