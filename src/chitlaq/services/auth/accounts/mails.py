"""The texts of the mails that accounts get."""

from __future__ import annotations

import html

from chitlaq.core.data.mail import Mail, safe_name


def verification(address: str, name: str, link: str, hours: int) -> Mail:
    """Ask the owner of an address to confirm it by a link that is valid for some hours."""
    lines = [
        f"Hello {safe_name(name)}".rstrip() + ",",
        "please confirm that this address is yours:",
        link,
        f"The link works for {hours} hours. If you did not register with ChitLaq, ignore this mail.",
    ]
    safe_link = html.escape(link)
    return Mail(
        to_address=address,
        subject="Confirm your address for ChitLaq",
        text="\n\n".join(lines) + "\n",
        html=(
            f"<p>{html.escape(lines[0])}</p><p>{lines[1]}</p>"
            f'<p><a href="{safe_link}">Confirm my address</a></p><p>{lines[3]}</p>'
        ),
        links=[link],
    )
