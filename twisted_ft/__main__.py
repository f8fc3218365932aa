"""``python -m twisted_ft``: the ``ft`` command."""

from twisted_ft.cli.main import main

if __name__ == "__main__":
    main()
