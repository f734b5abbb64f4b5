"""A small Flask site, as its author would write it."""

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from flask import Flask, Response, abort, redirect, render_template_string, request, send_file, session, url_for
from werkzeug.wrappers import Response as AnyResponse

app = Flask(__name__)
app.secret_key = "not a secret"
HERE = Path(__file__).parent


@app.get("/")
def index() -> str:
    return "old"


@app.get("/hello/<name>")
def hello(name: str) -> str:
    return render_template_string("<p>Hello, {{ name }}!</p>", name=name)


@app.post("/echo")
def echo() -> dict[str, object]:
    return {"query": request.args["q"], "form": request.form["word"], "client": request.remote_addr}


@app.get("/visits")
def visits() -> str:
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@app.post("/upload")
def upload() -> dict[str, object]:
    file = request.files["file"]
    return {"name": file.filename, "sha256": hashlib.file_digest(BytesIO(file.read()), "sha256").hexdigest()}


@app.get("/count")
def count() -> Response:
    def lines() -> Iterator[str]:
        yield from (f"{number}\n" for number in range(1000))

    return Response(lines(), content_type="text/plain")


@app.get("/file")
def file() -> Response:
    return send_file(HERE / "large.bin")


@app.get("/old")
def old() -> AnyResponse:
    return redirect(url_for("index"))


@app.get("/gone")
def gone() -> str:
    abort(410, "it was here")


@app.get("/broken")
def broken() -> str:
    raise RuntimeError("the till is empty")
