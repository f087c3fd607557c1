"""JSON Schema: does a value fit, and what does a schema say in one line.

Foreign schemas are hostile until shown otherwise: none is fetched over the network, patterns run in a linear-time
engine, and a schema that is too large or that multiplies itself by references is not used at all.
"""

from __future__ import annotations
