"""One process, one epoll loop, many connections."""
