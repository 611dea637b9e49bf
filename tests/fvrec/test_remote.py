"""Pictures behind URLs, against a real server on the loopback interface that does all that servers do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fvrec import catalog
from fvrec.errors import FvrecError
from fvrec.sources import open_source
from fvrec.sources.checking import check_source
from fvrec.sources.reach import public
from fvrec.sources.remote import ATTEMPTS, MAX_REDIRECTS, SAME_BODY, SILENT_HOST, FetchPolicy, ImageCache, is_address
from fvrec.sources.tabular import TabularSource
from tests.fvrec.picture_server import PictureServer, photo_bytes, serve_pictures
from tests.fvrec.shop_folder import MAPPING, write_shop

QUICK = FetchPolicy(allow_private=True, timeout_seconds=1.0, max_bytes=1 << 20, first_wait_seconds=0.01)


@pytest.fixture(scope="module")
def shared() -> Iterator[PictureServer]:
    with serve_pictures() as server:
        yield server


@pytest.fixture
def server(shared: PictureServer) -> PictureServer:
    shared.asked.clear()
    shared.busiest = 0
    return shared


def test_what_is_there_is_fetched_once(server: PictureServer, tmp_path: Path) -> None:
    urls = [server.url(f"/ok/{number}.jpg") for number in range(12)]
    cache = ImageCache(tmp_path, QUICK)
    assert cache.fetch([*urls, urls[0]]) == 12
    assert cache.path(urls[3]).read_bytes() == photo_bytes(3)
    assert ImageCache(tmp_path, QUICK).fetch(urls) == 12
    assert set(server.asked.values()) == {1}
    assert all(path.is_relative_to(tmp_path) for path in map(cache.path, urls))


def test_connections_are_bounded(server: PictureServer, tmp_path: Path) -> None:
    policy = FetchPolicy(allow_private=True, max_connections=3)
    assert ImageCache(tmp_path, policy).fetch([server.url(f"/ok/{number}") for number in range(20)]) == 20
    assert 2 <= server.busiest <= 3


@pytest.mark.parametrize(
    ("path", "asked", "why"),
    [
        ("/404", 1, "HTTP 404"),
        ("/down", ATTEMPTS, "HTTP 503"),
        ("/slow", ATTEMPTS, "ReadTimeout"),
        ("/drip", ATTEMPTS, "not complete after 0.5 s"),
        ("/endless", 1, "more than 1048576 bytes"),
        ("/loop", MAX_REDIRECTS + 1, "more than 5 redirects"),
        ("/tofile", 1, "file"),
        ("/html", 1, "web page"),
        ("/empty", 1, "an empty answer"),
        ("/cut", ATTEMPTS, "RemoteProtocolError"),
    ],
)
def test_what_fails_says_why_in_bounded_time(
    server: PictureServer, tmp_path: Path, path: str, asked: int, why: str
) -> None:
    url = server.url(path)
    cache = ImageCache(tmp_path, replace(QUICK, timeout_seconds=0.5) if path in ("/slow", "/drip") else QUICK)
    started = time.monotonic()
    assert cache.fetch([url]) == 0
    assert time.monotonic() - started < 12
    assert why in cache.failure(url)
    assert url in cache.failure(url)
    assert server.asked[path] == asked
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] in ([], [cache.retry_file.name])
    assert cache.retry_file.exists() == (asked == ATTEMPTS)


def test_what_fails_first_is_tried_again(server: PictureServer, tmp_path: Path) -> None:
    url = server.url("/flaky/5.jpg")
    cache = ImageCache(tmp_path, QUICK)
    assert cache.fetch([url, server.url("/moved/6.jpg")]) == 2
    assert cache.path(url).read_bytes() == photo_bytes(5)
    assert server.asked["/flaky/5.jpg"] == 3


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/ok/1", "http://localhost:{port}/ok/1", "http://[::ffff:127.0.0.1]:{port}/ok/1",
     "http://10.0.0.1/x", "http://169.254.169.254/latest/meta-data"],
)  # fmt: skip
@pytest.mark.parametrize("no_proxy", [None, "example.com", "localhost,127.0.0.1", "*"])
def test_private_addresses_are_not_reached_unless_allowed(
    server: PictureServer, tmp_path: Path, url: str, no_proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_proxy is not None:
        monkeypatch.setenv("NO_PROXY", no_proxy)
    url = url.format(port=server.port)
    cache = ImageCache(tmp_path, FetchPolicy(timeout_seconds=2))
    assert cache.fetch([url]) == 0
    assert "not a public address" in cache.failure(url)
    assert not server.asked


@pytest.fixture
def behind_a_proxy(server: PictureServer, monkeypatch: pytest.MonkeyPatch) -> PictureServer:
    """The picture server stands in as the environment's proxy: what it is asked for, it is asked for by whole URL."""
    for name in ("http_proxy", "all_proxy", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{server.port}")
    monkeypatch.setenv("NO_PROXY", "localhost,inside.example:8000")
    return server


def test_a_proxy_is_used_for_the_hosts_it_applies_to(behind_a_proxy: PictureServer, tmp_path: Path) -> None:
    url = "http://shop.example/1.jpg"
    cache = ImageCache(tmp_path, FetchPolicy(timeout_seconds=2))
    cache.fetch([url])
    assert behind_a_proxy.asked[url] == 1
    assert "HTTP 404" in cache.failure(url)  # the proxy's own answer: the name was not looked up here


@pytest.mark.parametrize(
    ("url", "why"),
    [("http://localhost:{port}/ok/1", "not a public address"), ("http://10.0.0.1/1", "not a public address"),
     ("http://inside.example:8000/1", "name is not known")],
)  # fmt: skip
def test_beside_the_proxy_addresses_are_judged(
    behind_a_proxy: PictureServer, tmp_path: Path, url: str, why: str
) -> None:
    url = url.format(port=behind_a_proxy.port)
    cache = ImageCache(tmp_path, FetchPolicy(timeout_seconds=2, first_wait_seconds=0.01))
    assert cache.fetch([url]) == 0
    assert why in cache.failure(url)
    assert not behind_a_proxy.asked


def test_a_proxy_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://proxy.example:1")
    with pytest.raises(FvrecError, match=r"environment's proxy cannot be used.*gopher"):
        ImageCache(tmp_path, QUICK).fetch(["http://shop.example/1.jpg"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::5db8:d70e", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::5db8:d70e", False),
        ("2002:5db8:d70e::1", True),
        ("2002:7f00:1::", False),
        ("2002:a00:1::1", False),
        ("2001:0:5db8:d70e::80ff:fffe", False),
        ("::127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fec0::1", False),
        ("fe80::1%eth0", False),
        ("224.0.0.1", False),
        ("ff0e::1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_an_address_is_public_with_all_that_it_wraps(address: str, expected: bool) -> None:
    assert public(address) == expected


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/a.jpg", "data:image/png;base64,AAAA", "http://", "http://x:99999/",
            "http://[::1", "//", "https://\udcff/"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_without_a_connection(tmp_path: Path, url: str) -> None:
    assert is_address(url)
    cache = ImageCache(tmp_path, QUICK)
    assert cache.fetch([url]) == 0
    assert len(cache.failure(url)) > len(url[:200])


def test_a_host_that_does_not_answer_is_left_alone(tmp_path: Path) -> None:
    urls = [f"http://127.0.0.1:9/{number}.jpg" for number in range(4 * SILENT_HOST)]
    cache = ImageCache(tmp_path, FetchPolicy(allow_private=True, max_connections=1, first_wait_seconds=0.01))
    assert cache.fetch(urls) == 0
    reasons = [cache.failure(url).partition(": ")[2] for url in urls]
    assert all("no connection" in reason for reason in reasons[:SILENT_HOST])
    assert set(reasons[SILENT_HOST:]) == {"the host did not answer for other pictures"}


def shop(folder: Path, urls: list[str]) -> Path:
    rows = tuple(f"A-{n},name {n},连衣裙,大红,女,{url}" for n, url in enumerate(urls))
    return write_shop(
        folder, rows, mapping=MAPPING.replace('folder = "images"', 'folder = "images"\nallow_private = true')
    )


def test_a_shop_with_urls_is_ingested_and_again_without_network(tmp_path: Path) -> None:
    with serve_pictures() as server:
        urls = [*(server.url(f"/ok/{n}.jpg") for n in range(5)), server.url("/404"), server.url("/text"), "a1.jpg",
                "ftp://x.org/1.jpg"]  # fmt: skip
        folder = shop(tmp_path / "raw", urls)
        first = catalog.build(open_source("tabular", folder), root=tmp_path)
    again = catalog.build(open_source("tabular", folder), root=tmp_path)
    for result in (first, again):
        assert [item.item_id for item in result.items] == ["A-0", "A-1", "A-2", "A-3", "A-4", "A-7"]
        reasons = [rejected.reason for rejected in result.quarantined]
        assert reasons == ["image_unreachable"] * 3
    assert [item.image_sha256 for item in again.items] == [item.image_sha256 for item in first.items]
    told = {rejected.detail for rejected in first.quarantined if rejected.reason == "image_unreachable"}
    assert any("HTTP 404" in detail for detail in told)
    assert any("/text: what came is no picture" in detail for detail in told)


@pytest.mark.parametrize("kind", ["late", "half"])
def test_a_body_that_is_no_picture_is_not_kept(server: PictureServer, tmp_path: Path, kind: str) -> None:
    folder = shop(tmp_path / "raw", [server.url(f"/{kind}/3.jpg"), server.url("/ok/1.jpg")])
    first = catalog.build(open_source("tabular", folder), root=tmp_path)
    assert [rejected.reason for rejected in first.quarantined] == ["image_unreachable"]
    assert "what came is no picture" in first.quarantined[0].detail
    assert server.asked[f"/{kind}/3.jpg"] == 1  # it is not asked for again at once
    unsettled = TabularSource(folder).input_digest()
    second = catalog.build(open_source("tabular", folder), root=tmp_path)
    assert [item.item_id for item in second.items] == ["A-0", "A-1"]
    assert server.asked == {f"/{kind}/3.jpg": 2, "/ok/1.jpg": 1}
    assert TabularSource(folder).input_digest() != unsettled


def test_the_same_broken_body_is_asked_for_a_few_times_then_no_more(server: PictureServer, tmp_path: Path) -> None:
    folder = shop(tmp_path / "raw", [server.url("/text"), server.url("/ok/1.jpg")])
    digests = []
    for _ in range(SAME_BODY + 2):
        result = catalog.build(open_source("tabular", folder), root=tmp_path)
        assert [rejected.reason for rejected in result.quarantined] == ["image_unreachable"]
        digests.append(TabularSource(folder).input_digest())
    assert server.asked["/text"] == SAME_BODY
    assert len(set(digests[:SAME_BODY])) == SAME_BODY  # still to be tried: such an ingest is not reused
    assert len(set(digests[SAME_BODY - 1 :])) == 1
    assert f"the same body came {SAME_BODY} times" in result.quarantined[0].detail
    (folder / ".fetched" / "no_pictures.json").unlink()
    catalog.build(open_source("tabular", folder), root=tmp_path)
    assert server.asked["/text"] == SAME_BODY + 1


@pytest.mark.parametrize("damage", ["[1, 2]", "{", '{"x": 3}', '{"http://x": {"times": "many"}}'])
def test_a_damaged_memory_of_broken_bodies_is_no_obstacle(server: PictureServer, tmp_path: Path, damage: str) -> None:
    cache = ImageCache(tmp_path, QUICK)
    cache.broken_file.write_text(damage.replace("http://x", server.url("/text")))
    assert cache.fetch([server.url("/text"), server.url("/ok/1.jpg")]) == 1
    assert server.asked["/text"] == 1


def test_a_picture_that_is_too_large_is_kept_and_named(server: PictureServer, tmp_path: Path) -> None:
    folder = shop(tmp_path / "raw", [server.url("/vast/1.png"), server.url("/ok/1.jpg")])
    result = catalog.build(open_source("tabular", folder), root=tmp_path)
    assert [rejected.reason for rejected in result.quarantined] == ["image_too_large"]


def test_a_template_over_the_id_may_be_an_address(server: PictureServer, tmp_path: Path) -> None:
    template = f'folder = "images"\nfile = "{server.url("/ok/{id}.jpg")}"\nallow_private = true'
    mapping = MAPPING.replace('image = "图片"\n', "").replace('folder = "images"', template)
    rows = ("1,a,连衣裙,大红,女,", "2 ?#%,b,连衣裙,大红,女,", ",c,连衣裙,大红,女,", "../4,d,连衣裙,大红,女,",
            "5,e,,大红,女,")  # fmt: skip
    folder = write_shop(tmp_path / "raw", rows, mapping=mapping)
    assert check_source(open_source("tabular", folder)).addresses == 2
    result = catalog.build(open_source("tabular", folder), root=tmp_path)
    assert [item.item_id for item in result.items] == ["1", "2 ?#%"]
    reasons = [rejected.reason for rejected in result.quarantined]
    assert reasons == ["missing_id", "path_outside", "missing_category"]
    assert set(server.asked) == {"/ok/1.jpg", "/ok/2%20%3F%23%25.jpg"}  # rejected rows are not asked for


def test_nothing_is_fetched_into_a_folder_that_is_a_link(server: PictureServer, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    whole, part = (shop(tmp_path / name, [server.url("/ok/1.jpg")]) for name in ("whole", "part"))
    (whole / ".fetched").symlink_to(outside)
    with pytest.raises(FvrecError, match="leads out of the raw folder"):
        TabularSource(whole).prepare()
    cache = ImageCache(part / ".fetched", QUICK)
    cache.directory.mkdir()
    cache.path(server.url("/ok/1.jpg")).parent.symlink_to(outside)
    with pytest.raises(FvrecError, match="is a link"):
        TabularSource(part).prepare()
    assert not list(outside.iterdir())
    assert not server.asked


def test_a_limit_fetches_no_more_than_it_needs(server: PictureServer, tmp_path: Path) -> None:
    folder = shop(tmp_path / "raw", [server.url(f"/ok/{n}.jpg") for n in range(40)])
    assert len(catalog.build(open_source("tabular", folder, limit=6), root=tmp_path).items) == 6
    assert len(server.asked) == 6


def test_what_was_fetched_is_no_input_of_the_users(server: PictureServer, tmp_path: Path) -> None:
    folder = shop(tmp_path / "raw", [server.url("/ok/1.jpg")])
    before = TabularSource(folder).input_digest()
    TabularSource(folder).prepare()
    assert TabularSource(folder).input_digest() == before
    (folder / "images" / "a1.jpg").write_bytes(b"other")
    assert TabularSource(folder).input_digest() != before


def test_an_ingest_that_lacks_what_may_come_back_is_not_reused(server: PictureServer, tmp_path: Path) -> None:
    final = shop(tmp_path / "final", [server.url("/404")])
    before = TabularSource(final).input_digest()
    TabularSource(final).prepare()
    assert TabularSource(final).input_digest() == before
    passing = shop(tmp_path / "passing", [server.url("/down"), server.url("/ok/1")])
    digests = [TabularSource(passing).input_digest()]
    for _ in range(2):
        TabularSource(passing).prepare()
        digests.append(TabularSource(passing).input_digest())
    assert len(set(digests)) == 3
    passing = shop(tmp_path / "passing", [server.url("/ok/1")])
    settled = TabularSource(passing)
    settled.prepare()
    assert not list((passing / ".fetched").glob("*.json"))


def test_the_server_of_these_tests_is_a_real_one(server: PictureServer) -> None:
    assert httpx.get(server.url("/ok/2")).content == photo_bytes(2)
