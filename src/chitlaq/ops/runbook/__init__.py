"""The runbook as a page, generated from the checks and actions in the order of the original document."""

from chitlaq.ops.runbook.page import rendered

__all__ = ["rendered"]
