"""The audit in memory is bounded; the rest is in `test_contract.py`."""

from __future__ import annotations

from plait.core.audit import AuditRow, ChainCheck, What
from plait.stores.history.audit_lines import AuditLines


def test_the_oldest_rows_go_when_there_are_too_many_and_the_others_verify():
    lines = AuditLines()
    for number in range(25):
        lines.append([AuditRow(float(number), What.SENT, run=f"r_{number}")])
        lines.trim_to(10, 99.0)
        assert len(lines.lines) <= 20
    check = ChainCheck()
    found = [check.add(number, line) for number, line in sorted(lines.lines.items())]
    assert found[-1]["run"] == "r_24"
    assert any(row["what"] == "deleted" for row in found)
    assert check.fault(lines.end) is None
