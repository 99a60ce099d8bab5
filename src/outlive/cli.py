"""The command `outlive`."""


def main() -> None:
    """Run the command."""
