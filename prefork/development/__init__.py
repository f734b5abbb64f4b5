"""What `reload` does for who writes an application: watches its files, and starts again what could not be served."""
