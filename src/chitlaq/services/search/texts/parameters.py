"""Query parameters of searches in texts."""

from __future__ import annotations

from typing import Annotated

from litestar.params import Parameter

from chitlaq.services.search.texts.finding import Sort

QueryText = Annotated[
    str,
    Parameter(
        min_length=1,
        max_length=500,
        description='Words, "phrases", OR, -without, and from: to: in: tag: has: before: after:.',
    ),
]
SortOrder = Annotated[
    Sort, Parameter(description="The most relevant of the latest first, or just the latest.")
]
