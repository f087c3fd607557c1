"""The measurements of `scripts/bench`. Each module is one group; `docs/performance.md` explains the
figures."""
