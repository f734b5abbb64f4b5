"""Binds the sockets, forks the workers, obeys signals; never touches a request."""
