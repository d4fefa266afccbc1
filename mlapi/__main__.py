"""`python -m mlapi`: the command line."""

from mlapi.cli import main

if __name__ == "__main__":
    main()
