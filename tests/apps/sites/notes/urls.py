from django.contrib import admin
from django.urls import path

from notes import views

urlpatterns = [
    path("", views.index),
    path("page", views.page),
    path("notes", views.notes),
    path("visits", views.visits),
    path("upload", views.upload),
    path("count", views.count),
    path("file", views.large),
    path("broken", views.broken),
    path("admin/", admin.site.urls),
]
