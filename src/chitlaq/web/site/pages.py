"""The pages of the web site and their static files."""

from __future__ import annotations

from chitlaq.web.pages import Pages, policy

SITE = Pages(
    "chitlaq.web.site",
    {"Content-Security-Policy": policy(), "Referrer-Policy": "no-referrer"},
)
