"""`python -m prefork` is the command `prefork`."""

from prefork.entry import prefork

if __name__ == "__main__":
    prefork()
