# SPDX-License-Identifier: Apache-2.0
"""The clock of a topic's stamps: the headers', or the recorder's where no header has a stamp."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TopicStamps:
    """Stamps in nanoseconds of the messages of one topic; one of the two clocks for all of them, never a mixture."""

    topic: str
    _headers: list[int] = field(default_factory=list)  # 0 where the header has none
    _receipts: list[int] = field(default_factory=list)

    def add(self, header_ns: int, receipt_ns: int) -> None:
        """Take one message."""
        self._headers.append(header_ns)
        self._receipts.append(receipt_ns)

    @property
    def by_receipt(self) -> bool:
        """Whether no message has a header stamp."""
        return not any(self._headers)

    def values(self) -> list[int]:
        """The stamps, in the order of the messages; messages without one are left out if others have one."""
        return list(self._receipts) if self.by_receipt else [stamp for stamp in self._headers if stamp]

    def clock_text(self) -> str:
        """What the stamps are, for the user."""
        return "times of recording" if self.by_receipt else "header stamps"

    def remark(self) -> str:
        """A remark for the user; empty where every message has a header stamp."""
        missing = self._headers.count(0)
        if not missing:
            return ""
        if self.by_receipt:
            return (
                f"the messages on {self.topic} have no header stamps: the times at which they were recorded are used, "
                "which are later by the transport delay"
            )
        return f"{missing} of {len(self._headers)} messages on {self.topic} are left out: their headers have no stamp"
