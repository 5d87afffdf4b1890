"""Pages, as browsers get them."""

from __future__ import annotations

from litestar.testing import RequestFactory

from chitlaq.core.http import problems
from chitlaq.web.site.pages import SITE


def test_page_of_a_form_that_was_refused_says_why_and_when_to_try_again() -> None:
    asked = RequestFactory().get("/reset")
    refused = problems.unavailable("Too many people sign in.")
    page = SITE.html(asked, "reset.html", refused=refused, state="ask", email="ada@example.edu")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "2")
    assert 'class="refused">Too many people sign in.' in page.content
    refused = problems.invalid({"email": "is no address"})
    page = SITE.html(asked, "reset.html", refused=refused, state="ask", email="ada")
    assert page.status_code == 422
    assert 'id="email-refused"' in page.content
