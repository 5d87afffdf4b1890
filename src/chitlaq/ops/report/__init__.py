"""The daily report: the results of the evening routine on one page."""

from chitlaq.ops.report.page import DailyReport, build, html, markdown

__all__ = ["DailyReport", "build", "html", "markdown"]
