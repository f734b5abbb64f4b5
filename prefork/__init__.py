"""prefork: a multi-process HTTP server daemon for Linux."""
