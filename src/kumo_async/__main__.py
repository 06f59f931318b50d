"""`python -m kumo_async` is the same as `kumo-async`."""

from .cli import main

if __name__ == "__main__":
    main()
