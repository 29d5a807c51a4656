# SPDX-License-Identifier: Apache-2.0
"""How `pytest -n 2` shares the tests out among its processes.

All files with tests over DDS are one group, so that one process runs them one after another, as without `-n`: nodes of
two tests at once would delay each other's discovery. They wait most of the time, and the other process computes
meanwhile. The folders whose fixtures train or render for seconds are a group each, so that these are made once. Every
other file is a group. Groups are handed out in this order, so that the last ones are short.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController

DDS = "dds"
# In the order in which they are handed out; then come the files.
GROUPS = (DDS, "test/training", "test/mapping")


class Groups(LoadScopeScheduling):
    """Hands out one group of tests after another, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid, self.config.rootpath)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a process that ended out; the test that it died in, if any, which is not tried again.

        xdist 3.8 hands the groups that such a process had finished out once more: the next process waits for the end
        of one without tests for ever.
        """
        groups = self.assigned_work.pop(node)
        left = [(tests, nodeid) for tests in groups.values() for nodeid, is_done in tests.items() if not is_done]
        if not left:
            return None
        tests, died_in = left[0]
        tests[died_in] = True
        self.workqueue.update({name: tests for name, tests in groups.items() if not all(tests.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return died_in


def group_of(nodeid: str, root: Path) -> str:
    """The group of a test: the name in `GROUPS`, or else the path of its file."""
    return _group_of_file(root, nodeid.partition("::")[0])


@functools.cache
def _group_of_file(root: Path, file: str) -> str:
    if "mark.dds" in (root / file).read_text(encoding="utf-8"):
        return DDS
    return next((folder for folder in GROUPS if file.startswith(f"{folder}/")), file)


def sort_by_group(items: list[pytest.Item], root: Path) -> None:
    """Put the tests of `GROUPS` first; those of one group stay in their order."""
    rank = {name: place for place, name in enumerate(GROUPS)}
    items.sort(key=lambda item: rank.get(group_of(item.nodeid, root), len(GROUPS)))
