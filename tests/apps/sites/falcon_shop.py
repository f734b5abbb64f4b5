"""A small Falcon site, as its author would write it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import falcon

HERE = Path(__file__).parent


class Index:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = "old"


class Echo:
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        response.media = {"got": request.get_media(), "length": request.content_length, "path": request.path}


class Upload:
    def on_put(self, request: falcon.Request, response: falcon.Response) -> None:
        # Falcon's own stream ends at Content-Length; the server's ends by itself, whatever the client said.
        digest = hashlib.sha256()
        while piece := request.env["wsgi.input"].read(65536):
            digest.update(piece)
        response.media = {"sha256": digest.hexdigest(), "terminated": request.env["wsgi.input_terminated"]}


class Count:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        def lines() -> Iterator[bytes]:
            yield from (b"%d\n" % number for number in range(1000))

        response.stream = lines()
        response.content_type = falcon.MEDIA_TEXT


class File:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        path = HERE / "large.bin"
        response.set_stream(path.open("rb"), path.stat().st_size)


def create_app() -> falcon.App[falcon.Request, falcon.Response]:
    app = falcon.App()
    app.add_route("/", Index())
    app.add_route("/echo", Echo())
    app.add_route("/upload", Upload())
    app.add_route("/count", Count())
    app.add_route("/file", File())
    return app
