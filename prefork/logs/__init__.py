"""Where a process tells what it does: the log, the access log, systemd's journal."""
