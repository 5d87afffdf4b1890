"""The daily report: what the evening's routine found, on one page."""

from chitlaq.ops.report.page import DailyReport, build, html, markdown

__all__ = ["DailyReport", "build", "html", "markdown"]
