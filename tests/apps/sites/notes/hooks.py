"""Django imports the views at the first request; this has them imported, and checked, before a worker is ready."""

from django.core.management import call_command


def post_worker_init(worker: object) -> None:
    call_command("check")
