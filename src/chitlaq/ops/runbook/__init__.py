"""The runbook as people read it: rendered from what runs, in the order of the document it began as."""

from chitlaq.ops.runbook.page import rendered

__all__ = ["rendered"]
