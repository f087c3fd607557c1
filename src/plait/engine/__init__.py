"""The gateway's verbs and the runner: the core with `await` and a clock."""
