"""The command ``hwctl``. ``--version`` answers before anything heavy is imported."""

import sys


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 refused or failed, 2 usage."""
    if sys.argv[1:] == ["--version"]:
        from hwctl import __version__  # noqa: PLC0415 - this path has to be quick

        sys.stdout.write(f"hwctl {__version__}\n")
        return
    from hwctl.faces.cli.app import run  # noqa: PLC0415 - see above

    sys.exit(run())


if __name__ == "__main__":
    main()
