"""Falcon, made by a factory and run in threads."""

import hashlib
import json

from tests.apps.serving import LARGE, Serve, copied, curl

SHOP = copied("falcon_shop.py"), "falcon_shop:create_app()", "--workers", "1"


def test_a_site_of_falcon_is_served_in_one_thread_and_in_several(serve: Serve) -> None:
    for threads in ("1", "4"):
        site = serve(*SHOP, "--threads", threads)
        assert site.get().text == "old"
        asked = json.dumps({"word": "zürich"})
        said = "--data", asked, "--header", "Content-Type: application/json"
        got = json.loads(curl(site, "/echo", *said))
        assert got == {"got": {"word": "zürich"}, "length": len(asked), "path": "/echo"}
        assert curl(site, "/count").split() == [b"%d" % number for number in range(1000)]
        assert curl(site, "/file") == LARGE


def test_a_chunked_upload_has_an_end_that_the_application_sees(serve: Serve) -> None:
    site = serve(*SHOP)
    file = str(site.folder / "large.bin")
    chunked = ("--header", "Transfer-Encoding: chunked", "--upload-file", file)
    expected = {"sha256": hashlib.sha256(LARGE).hexdigest(), "terminated": True}
    assert json.loads(curl(site, "/upload", *chunked)) == expected
    assert json.loads(curl(site, "/upload", "--upload-file", file)) == expected
