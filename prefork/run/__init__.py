"""The composition root: translates a configuration into what master and workers need, and runs the service."""
