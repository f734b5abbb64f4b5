"""What the user wants: every option once, read from file, environment and flags."""
