"""`python -m agent` is `miner-agent`."""

from agent.cli import main

if __name__ == "__main__":
    main()
