"""The daily report: what the evening's routine found, on one page."""

from chitlaq.ops.report.page import DailyReport, html, made, markdown

__all__ = ["DailyReport", "html", "made", "markdown"]
