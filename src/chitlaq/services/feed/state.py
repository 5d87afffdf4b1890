"""State of feed-service's handlers."""

from __future__ import annotations

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.service import ServiceState
from chitlaq.services.feed.media.serving import Pictures
from chitlaq.services.feed.rendering import Rendering
from chitlaq.services.feed.timelines.cache import Timelines
from chitlaq.services.feed.timelines.deliveries import Deliveries
from chitlaq.services.feed.timelines.home import HomeFeed


class FeedState(ServiceState):
    database: Database
    rendering: Rendering
    timelines: Timelines
    home: HomeFeed
    deliveries: Deliveries
    pictures: Pictures
