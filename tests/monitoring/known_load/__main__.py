"""``python -m tests.monitoring.known_load PORT``: run it.

It is built like every service, so that the same code measures it.
"""

from __future__ import annotations

import sys


def main(port: int) -> None:
    from chitlaq.core.http import server
    from chitlaq.core.installation import settings_loading
    from chitlaq.core.installation.home import Home

    home = Home.from_environment()
    configured = settings_loading.load(home)
    server.prepare("shaped", configured, home)
    import uvicorn

    from chitlaq.core.http import app
    from tests.monitoring.known_load.routes import SERVICE

    uvicorn.run(app.create_app(SERVICE, configured, home), port=port, log_level="error")


if __name__ == "__main__":
    main(int(sys.argv[1]))
