"""What the console keeps in ops-service's process."""

from __future__ import annotations

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.console.access.attempts import Attempts
from chitlaq.ops.console.access.links import Links
from chitlaq.ops.console.access.operators import Operators
from chitlaq.ops.console.access.sessions import Sessions
from chitlaq.ops.console.acting.plans import Plans
from chitlaq.ops.console.acting.runs import Runs
from chitlaq.ops.database.database import OpsDatabase


class Console:
    """Sessions, operators, links and attempts to sign in; plans, and actions that go on."""

    def __init__(self, home: Home, settings: Settings, database: OpsDatabase) -> None:
        self.home = home
        self.is_public = settings.operations.public
        self.has_tls = settings.base_url.startswith("https:")
        self.sessions = Sessions(database)
        self.operators = Operators(home)
        self.links = Links()
        self.attempts = Attempts()
        self.plans = Plans()
        self.runs = Runs(database)
