"""Second factors: codes of an app, recovery codes, passkeys; and proving again who one is."""
