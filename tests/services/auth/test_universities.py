"""Universities: whose addresses may register, and how operators say so."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from chitlaq.core import addresses
from chitlaq.services.auth.universities import address_rules, csv_file
from chitlaq.services.auth.universities.address_rules import AddressRule
from tests.conftest import PASSWORD, Member, Stack

Join = Callable[..., Awaitable[Member]]
Name = Callable[[], str]


class Csv:
    """A file of universities whose names and domains no other test has."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.file, self.mark = stack, folder / "universities.csv", secrets.token_hex(3)

    def given(self, *lines: str) -> None:
        self.file.write_text("\n".join(lines).replace("~", self.mark) + "\n", encoding="utf-8")

    def imported(self, *options: str, **more: Any) -> tuple[int, str]:
        answer = self.stack.command("universities", "import", str(self.file), *options, **more)
        return answer.returncode, (answer.stdout + answer.stderr).replace(self.mark, "~")

    def known(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.stack.json("universities", "list")
        return [row for row in rows if self.mark in row["name"]]


@pytest.fixture
def universities(stack: Stack, tmp_path: Path) -> Csv:
    return Csv(stack, tmp_path)


async def register(client: httpx.AsyncClient, email: str, username: str) -> httpx.Response:
    body = {"email": email, "password": PASSWORD, "username": username, "display_name": "Liv"}
    return await client.post("/api/auth/register", json=body)


async def test_universities_of_one_name_in_two_countries_are_two(
    universities: Csv, client: httpx.AsyncClient, name: Name
) -> None:
    universities.given(
        "name,country,domain",
        "National ~,co,~.example.co",
        "National ~,ie,~.example.ie",
        "National ~,ie,www.~.example.ie",
    )
    assert universities.imported()[0] == 0
    known = universities.known()
    assert [(row["country"], len(row["domains"])) for row in known] == [("CO", 1), ("IE", 2)]
    assert universities.imported() == (0, "3 domains of 2 universities are known already.\n")
    answer = await register(client, f"liv@{universities.mark}.example.ie", name())
    assert answer.status_code == 201, answer.text
    universities.given("name,domain", "National ~,more.~.example")
    code, said = universities.imported()
    assert code == 1
    assert "Line 2: there are 2 universities of the name National ~" in said


async def test_university_is_known_by_its_own_id(universities: Csv) -> None:
    universities.given("name,domain", "Old ~,~.example")
    universities.imported()
    (before,) = universities.known()
    universities.given(
        "id,name,country,domain", "uni/~,Old ~,NO,~.example", "uni/~x,Old ~,NO,x~.example"
    )
    assert universities.imported("--yes")[0] == 0
    first, second = sorted(universities.known(), key=lambda row: row["code"])
    assert first["id"] == before["id"], "it shares the domain, and nobody had said its id"
    universities.given("id,name,country,domain", "uni/~x,New ~,NO,x~.example")
    code, said = universities.imported()
    assert (code, "name New ~ (was Old ~)" in said) == (1, True), "a change needs --yes"
    assert second in universities.known()
    universities.imported("--yes")
    assert second | {"name": f"New {universities.mark}"} in universities.known()


@pytest.mark.parametrize(
    "lines",
    [
        ("uni-1-~,Split ~,NO,a.~.example", "uni-2-~,Split ~,SE,b.~.example"),
        ("uni-1-~,Mixed ~,NO,c.~.example", ",Mixed ~,NO,d.~.example"),
        ("uni-1-~,Mixed ~,NO,c.~.example", ",Mixed ~,,d.~.example"),
    ],
    ids=["of one", "with and without id", "with and without country"],
)
async def test_lines_that_may_mean_one_university_are_refused(
    universities: Csv, lines: tuple[str, str]
) -> None:
    universities.given("name,domain", "Split ~,a.~.example", "Split ~,b.~.example")
    assert universities.imported()[0] == 0
    universities.given("id,name,country,domain", *lines)
    code, said = universities.imported("--yes")
    assert (code, "line 2 may mean the same university" in said) == (1, True), said
    for line in lines:
        if not line.startswith(","):
            universities.given("id,name,country,domain", line)
            assert universities.imported("--yes")[0] == 0, "one after the other"


async def test_import_shows_what_it_changes_and_asks_before_it_takes_something_away(
    universities: Csv,
) -> None:
    universities.given("name,domain", "First ~,~.example", "First ~,b.~.example")
    code, said = universities.imported("--dry-run")
    assert code == 0
    assert said.splitlines()[:3] == [
        "+ First ~: university",
        "+ First ~: domain ~.example",
        "+ First ~: domain b.~.example",
    ]
    assert universities.known() == []
    assert universities.imported()[0] == 0
    universities.given("name,domain,refuse", "Second ~,b.~.example,x*@b.~.example")
    code, said = universities.imported()
    assert code == 1
    assert "~ Second ~: domain b.~.example (was First ~'s)" in said
    assert len(universities.known()) == 1
    assert universities.imported("--yes")[0] == 0
    assert [row["domains"] for row in universities.known()] == [
        [f"{universities.mark}.example"],
        [f"b.{universities.mark}.example"],
    ]
    shown = universities.stack.json("universities", "show", f"b.{universities.mark}.example")
    assert [rule["pattern"] for rule in shown[0]["rules"]] == [f"x*@b.{universities.mark}.example"]


def test_file_with_mistakes_changes_nothing_and_names_their_lines(universities: Csv) -> None:
    universities.given(
        "name,country,domain,allow,departments",
        "Good ~,NO,~.example,,",
        "x,NO,x.~.example,,",
        "Bad ~,Norway,y.~.example,,",
        "Bad ~,NO,not a domain,,",
        "Bad ~,NO,~.example,,",
        "Bad ~,NO,z.~.example,(.*)@z.~.example,",
        "Bad ~,NO,z.~.example,,cs.~.example",
        "Bad ~",
    )
    code, said = universities.imported()
    assert code == 1
    assert [line.partition(":")[0] for line in said.removeprefix("chitlaq: ").splitlines()] == [
        f"Line {number}" for number in range(3, 10)
    ]
    assert universities.known() == []
    universities.given("name;domain", "Semicolons;~.example")
    code, said = universities.imported()
    assert (code, "must name the columns name,domain" in said) == (1, True)


async def test_rules_say_who_may_register_and_in_which_department(
    universities: Csv, client: httpx.AsyncClient, name: Name, join: Join
) -> None:
    universities.given(
        "name,domain,allow,refuse,departments",
        "Rules ~,~.example,stu.~.example *@cs.~.example,alum-*@stu.~.example,"
        "cs.~.example=Computer Science; m??_*@stu.~.example=Medicine",
    )
    assert universities.imported()[0] == 0
    domain = f"{universities.mark}.example"
    for local, part in (("ada", ""), ("alum-ada", "stu.")):
        answer = await register(client, f"{local}@{part}{domain}", name())
        assert answer.status_code == 422, local
        assert "does not let addresses of this form register" in answer.json()["errors"]["email"]
    member = await join(f"cs.{domain}")
    assert (await member.get("/api/users/me")).json()["department"] == "Computer Science"
    other = await join(f"stu.{domain}")
    assert (await other.get("/api/users/me")).json()["department"] == ""


async def test_domain_is_the_same_in_either_form(
    universities: Csv, client: httpx.AsyncClient, stack: Stack, name: Name
) -> None:
    universities.given("name,domain", "Bücher ~,bücher-~.example")
    assert universities.imported()[0] == 0
    username = name()
    domain = addresses.checked_domain(f"bücher-{universities.mark}.example")
    assert domain.startswith("xn--")
    spellings = [
        f"{username}@bücher-{universities.mark}.example",
        f"{username.upper()}@{unicodedata.normalize('NFD', f'BÜCHER-{universities.mark}.example')}",
        f"{username}@{domain.upper()}",
    ]
    for spelling in spellings:
        answer = await register(client, spelling, username)
        assert answer.status_code == 201, answer.text
        assert answer.json()["user"]["email"] == f"{username}@{domain}"
    token = stack.mail_token(f"{username}@{domain}")
    body = {"token": token, "password": PASSWORD}
    assert (await client.post("/api/auth/verify", json=body)).status_code == 200
    for spelling in spellings:
        body = {"login": spelling, "password": PASSWORD}
        assert (await client.post("/api/auth/login", json=body)).status_code == 200, spelling


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("example.edu", "ada@example.edu", "ada@cs.example.edu"),
        ("*.example.edu", "ada@cs.example.edu", "ada@example.edu"),
        ("S???????@Example.EDU", "s1234567@example.edu", "s12345678@example.edu"),
        ("*@bücher.example", "ada@xn--bcher-kva.example", "ada@bcher.example"),
        ("a.b@example.edu", "a.b@example.edu", "axb@example.edu"),
    ],
)
def test_pattern_matches_whole_addresses(pattern: str, matching: str, other: str) -> None:
    rules = [AddressRule("allow", address_rules.checked_pattern(pattern))]
    assert address_rules.may_register(rules, matching)
    assert not address_rules.may_register(rules, other)


def test_pattern_is_of_a_mailbox_whatever_tag_its_address_has() -> None:
    rules = [AddressRule("refuse", "guest@example.edu"), AddressRule("allow", "????@example.edu")]
    assert address_rules.may_register(rules, "ada1+chat@example.edu")
    assert not address_rules.may_register(rules, "guest+chat@example.edu")
    assert not address_rules.may_register(rules[:1], "guest+a+b@example.edu")


def test_file_with_byte_order_mark_and_quotes_is_read() -> None:
    (found,) = csv_file.read('\ufeffname,domain\r\n" Ada, Grace ", @Example.EDU \r\n\r\n')
    assert (found.name, list(found.domains), found.rules) == ("Ada, Grace", ["example.edu"], None)
