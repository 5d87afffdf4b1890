"""The daily report: what the evening's routine found, on one page."""

from chitlaq.ops.report.page import Report, html, made, markdown

__all__ = ["Report", "html", "made", "markdown"]
