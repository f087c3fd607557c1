"""One value with everything in it that an expression can meet."""

from __future__ import annotations

from typing import Any

SHOP: dict[str, Any] = {
    "name": "corner",
    "open": True,
    "closed": False,
    "nothing": None,
    "zero": 0,
    "empty": [],
    "blank": "",
    "hollow": {},
    "till": {"drawer": {"coins": [5, 10, 20], "notes": []}, "odd-key": 1, "a b": {"c.d": 2}},
    "goods": [
        {"id": 1, "what": "tea", "price": 4, "tags": ["hot", "leaf"], "maker": {"land": "IN"}},
        {"id": 2, "what": "nib", "price": 2, "tags": [], "maker": None},
        {"id": 3, "what": "pen", "price": 9, "tags": ["ink"]},
    ],
    "shelves": [[1, [2, 3]], [4], 5, [], [[6]]],
    "stock": {"tea": {"left": 3}, "nib": {"left": 0}, "pen": {"gone": 1}},
    "numbers": [3, 1, 2.5, -4],
    "words": ["pear", "fig", "apple"],
}
