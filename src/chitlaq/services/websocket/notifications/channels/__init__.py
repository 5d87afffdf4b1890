"""Where members are told, and when not: settings, quiet hours, Web Push, digests by mail."""
