"""What was written outlives the processes that wrote it, at whatever instant they die.

`scripts/soak history` does the same for longer.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

KILLS = 25


async def test_no_kill_makes_a_write_go_out_twice_or_be_forgotten(tmp_path: Path):
    seed = random.randrange(2**32)
    story = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.stores.history.crashes"),
        *(str(tmp_path), str(KILLS), str(seed)),
        stdout=PIPE,
        stderr=PIPE,
    )
    printed, complaint = await story.communicate()
    assert story.returncode == 0, f"seed {seed}: {complaint.decode()}"
    counts = json.loads(printed)
    assert counts["kills"] >= KILLS
    assert counts["law: no write is sent twice"] > KILLS
    assert counts["in doubt"] > 0
