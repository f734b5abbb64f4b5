"""A service of systemd: what its files say, and what it takes to install and to remove them.

`units` and `samples` are the folders systemd and config of the repository, so that an installed package has them too.
"""
