"""What auth-service keeps of a member: its part of an export. Foreign keys erase it with the account."""

from __future__ import annotations

from chitlaq import inventory
from chitlaq.core.data.member_data import Contribution, Exported

_HASHES = "hashes of secrets, of use to nobody"

CONTRIBUTION = Contribution(
    inventory.COMPONENTS["auth-service"].role,
    (
        Exported("account", "Your account", "export_account"),
        Exported("sessions", "Your devices that are or were signed in", "export_sessions"),
        Exported("devices", "Since when your devices are known", "export_devices"),
        Exported("addresses", "Where you signed in last", "export_addresses"),
        Exported("audit", "What happened to your account's security", "export_audit"),
        Exported("registrations", "How you registered", "export_registrations"),
        Exported("identities", "Identity providers that sign you in", "export_identities"),
        Exported("passkeys", "Your passkeys", "export_passkeys"),
        Exported("codes", "Codes from your app", "export_codes"),
        Exported("mails", "Mails to you; their texts are not kept", "export_mails"),
        Exported("exports", "Exports like this one", "export_exports"),
        Exported(
            "departure", "The deletion of your account that you asked for", "export_departure"
        ),
    ),
    not_exported={
        "auth.mailed_tokens": _HASHES,
        "auth.recovery_codes": _HASHES,
        "auth.passkey_challenges": "numbers that are forgotten within minutes",
    },
)
