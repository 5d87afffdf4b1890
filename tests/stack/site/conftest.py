"""A site of three machines for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.site_cluster import SiteCluster, site_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[SiteCluster]:
    with site_cluster() as cluster:
        yield cluster
