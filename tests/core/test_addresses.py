"""A mail goes to the address that was checked, and to no other."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chitlaq.core import addresses, ids
from chitlaq.core.data import mail

# Each passes some check of addresses and is read as another address by some library or server.
TRICKS = [
    "=?utf-8?q?mallory=40evil.com=3ex?=foo@example.edu",
    "=?utf-8?b?bWFsbG9yeUBldmlsLmNvbT4=?=foo@example.edu",
    "=?utf-8?q?=ff?=@example.edu",
    "=?iso-2022-jp?b?GyRC?=@example.edu",
    "foo@=?utf-8?q?evil.com?=.example.edu",
    "mallory%evil.com@example.edu",
    "evil.com!mallory@example.edu",
    '"mallory@evil.com>"@example.edu',
    "mallory@evil.com,foo@example.edu",
    "mallory@evil.com foo@example.edu",
    "mallory@evil.com\n@example.edu",
    "a\r\nBcc: mallory@evil.com\r\n@example.edu",
    "<mallory@evil.com>foo@example.edu",
    "mallory@evil.com(@example.edu",
    "@evil.com:foo@example.edu",
    "foo@[127.0.0.1]",
    "foo@example.edu.",
    "foo@.example.edu",
    "foo@exa_mple.edu",
    "\uff46oo@example.edu",
    "ä@example.edu",
    "\u212aelvin@example.edu",
    "foo\u200b@example.edu",
    "foo@example.edu\u202e",
    " foo@example.edu",
    "foo@example.edu\n",
    ".foo@example.edu",
    "foo.@example.edu",
    "fo..o@example.edu",
    "|sh@example.edu",
    "a" * 65 + "@example.edu",
    "foo@" + "a" * 64 + ".edu",
    "foo",
    "@example.edu",
    "foo@",
    "",
]


@pytest.mark.parametrize("text", TRICKS)
def test_address_that_can_be_read_as_another_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|may"):
        addresses.checked(text)


@pytest.mark.parametrize(
    "text",
    ["ada@example.edu", "o'brien@example.edu", "a.b-c_d+tag@cs.example.edu", "root@localhost"],
)
def test_usual_address_is_accepted(text: str) -> None:
    assert addresses.checked(text.title()) == text


def row(address: str) -> mail.OutgoingMail:
    return {
        "id": ids.new(), "unsubscribe": "",
        "to_address": address, "subject": "Hello", "text": "x", "html": "x",
        "created_at": datetime.now(UTC),
    }  # fmt: skip


LETTERS = st.sampled_from(string.printable + "=?äß\uff20\uff0e\u3002\u202e\x00\x7f\x85")


@given(local_part=st.text(LETTERS, max_size=70), domain=st.text(LETTERS, max_size=70))
@example(local_part="=?utf-8?q?mallory=40evil.com=3ex?=foo", domain="example.edu")
def test_whatever_passes_is_what_a_reader_of_the_mail_sees(local_part: str, domain: str) -> None:
    for text in (f"{local_part}@{domain}", f"{local_part}@example.edu"):
        try:
            address = addresses.checked(text)
        except ValueError:
            continue
        typed = text.rpartition("@")
        assert address.rpartition("@")[0] == typed[0].lower()
        assert address == text.lower() or not typed[2].isascii()
        content = mail._message(row(address), "ChitLaq", "no-reply@localhost").as_bytes()
        read = message_from_bytes(content, policy=policy.default)
        assert mail._addresses(read, "To") == [address]
        assert read["Bcc"] is read["Cc"] is None


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("ChitLaq <No-Reply@example.edu>", "ChitLaq", "no-reply@example.edu"),
        ('"Universität, ChitLaq" <a@example.edu>', "Universität, ChitLaq", "a@example.edu"),
        ("a@example.edu", "", "a@example.edu"),
    ],
)
def test_sender_may_have_a_name(text: str, name: str, address: str) -> None:
    assert addresses.split_name(text) == (name, address)
    content = mail._message(row("a@example.edu"), name, address).as_bytes()
    read = message_from_bytes(content, policy=policy.default)
    assert [(one.display_name, one.addr_spec) for one in read["From"].addresses] == [
        (name, address)
    ]


@pytest.mark.parametrize(
    "text",
    ["", "ChitLaq", "ChitLaq <>", "a@b.edu <c@d.edu>", "x\nBcc: y <c@d.edu>", "x <a@b.edu> y"],
)
def test_sender_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|may"):
        addresses.split_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ada@B\u00fccher.Example",
        "ada@bu\u0308cher.example",
        "ada@B\u00dcCHER\u3002example",
        "ADA@XN--BCHER-KVA.EXAMPLE",
        "ada@b\u00fccher.\uff45xample",
    ],
)
def test_address_has_one_form(text: str) -> None:
    assert addresses.checked(text) == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize("domain", ["xn--zz--a.example", "xn--a.example", "\u00fc-.example"])
def test_domain_that_is_none_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="must be a domain"):
        addresses.checked_domain(domain)
