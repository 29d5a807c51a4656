# SPDX-License-Identifier: Apache-2.0
"""Which traversals train and which test: the published LOOP and FULL splits, or the user's own."""

from __future__ import annotations

from collections.abc import Sequence

from mvloc_ros.recordings.errors import RecordingError

# Two traversals carry the name LOOP2 in published tables, so that both are here, by their stamps.
SPLITS = {
    "LOOP": (("2014-06-26-08-53-56", "2014-06-26-09-24-58"), ("2014-06-23-15-36-04", "2014-06-23-15-41-25")),
    "FULL": (("2014-11-28-12-07-13", "2014-12-02-15-30-08"), ("2014-12-09-13-21-02", "2014-12-12-10-45-15")),
}


def split_traversals(names: Sequence[str], test: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """(training, test) of the names: what `test` says, or the published split that they all belong to.

    Raises RecordingError where a name is unknown, given twice, of another split, or where one part is empty.
    """
    if len(set(names)) < len(names):
        raise RecordingError(f"A traversal is given twice: {', '.join(sorted(names))}.")
    if test:
        unknown = sorted(set(test) - set(names))
        if unknown:
            raise RecordingError(f"--test gives {unknown[0]}, which is not one of the traversals: {', '.join(names)}.")
        parts = [name for name in names if name not in test], [name for name in names if name in test]
    else:
        parts = _published(names)
    for part, kind in zip(parts, ("training", "test"), strict=True):
        if not part:
            raise RecordingError(f"No traversal of {', '.join(names)} is for {kind}: add one, or choose with --test.")
    return parts


def _published(names: Sequence[str]) -> tuple[list[str], list[str]]:
    for train, test in SPLITS.values():
        if set(names) <= {*train, *test}:
            return [name for name in names if name in train], [name for name in names if name in test]
    listed = "; ".join(f"{split}: {', '.join((*train, *test))}" for split, (train, test) in SPLITS.items())
    raise RecordingError(
        f"The traversals {', '.join(names)} do not belong to one published split ({listed}): choose those for testing "
        "with --test."
    )
