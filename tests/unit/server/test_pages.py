"""Which file of a directory a path means, and that none outside of it is reached."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.server.pages import open_page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outer = tmp_path_factory.mktemp("outer")
    site = outer / "www"
    (site / "below").mkdir(parents=True)
    (outer / "www-private").mkdir()
    (outer / "secret.txt").write_text("secret")
    (outer / "www-private" / "key.txt").write_text("secret")
    (site / "index.html").write_text("<p>home")
    (site / "below" / "index.html").write_text("<p>below")
    (site / "app.js").write_text("1")
    (site / "UPPER.PNG").write_text("1")
    (site / "plain").write_text("1")
    (site / "inside").symlink_to("app.js")
    (site / "outside").symlink_to(outer / "secret.txt")
    (site / "up").symlink_to(outer)
    (site / "next").symlink_to(outer / "www-private")
    (site / "loop").symlink_to("loop")
    os.mkfifo(site / "pipe")
    return site


def read(site: Path, path: str) -> tuple[bytes, str] | None:
    page = open_page(str(site), path)
    if page is None:
        return None
    with page.file as file:
        data = file.read()
    assert len(data) == page.length
    return data, page.kind


@pytest.mark.parametrize(
    ("path", "data", "kind"),
    [
        ("/", b"<p>home", "text/html; charset=utf-8"),
        ("/index.html", b"<p>home", "text/html; charset=utf-8"),
        ("/below/", b"<p>below", "text/html; charset=utf-8"),
        ("//below//", b"<p>below", "text/html; charset=utf-8"),
        ("/app.js", b"1", "text/javascript; charset=utf-8"),
        ("/inside", b"1", "text/javascript; charset=utf-8"),
        ("/UPPER.PNG", b"1", "image/png"),
        ("/plain", b"1", "application/octet-stream"),
    ],
)
def test_a_path_means_a_file(site: Path, path: str, data: bytes, kind: str) -> None:
    assert read(site, path) == (data, kind)


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/below", "/below/nothing/", "/app.js/", "/app.js/x"),
        *("/../secret.txt", "/below/../../secret.txt", "/below/../app.js"),
        *("/outside", "/up/secret.txt", "/next/key.txt", "/loop", "/pipe", "/.", "/.."),
        "/" + "x" * 5000,
    ],
)
def test_what_is_not_there_or_outside_is_not_served(site: Path, path: str) -> None:
    assert read(site, path) is None


_PARTS = st.lists(
    st.sampled_from(
        ["..", ".", "", "up", "next", "outside", "secret.txt", "www", "below", "key.txt"]
    )
)


@settings(max_examples=200, deadline=None)
@given(_PARTS)
def test_no_path_reaches_what_is_outside(site: Path, parts: list[str]) -> None:
    found = read(site, "/" + "/".join(parts))
    assert found is None or found[0] != b"secret"
