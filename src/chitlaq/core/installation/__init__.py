"""One installation: home, settings, secrets, ports."""
