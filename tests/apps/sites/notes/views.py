"""What a site does with Django: the ORM, sessions, forms with their tokens, uploads, streams and files."""

import hashlib

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from notes.models import Note


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("old")


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"visitor": request.GET.get("name", "")})


def notes(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        Note.objects.create(text=request.POST["text"])
    return JsonResponse({"notes": [note.text for note in Note.objects.order_by("id")]})


def visits(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest()})


def count(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse((f"{number}\n" for number in range(1000)), content_type="text/plain")


def large(request: HttpRequest) -> FileResponse:
    return FileResponse((settings.BASE_DIR / "large.bin").open("rb"))


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the till is empty")
