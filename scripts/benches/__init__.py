"""What `scripts/bench` measures. Each module is one group; `docs/performance.md` tells what the figures mean."""
