"""The tools: their definitions, names, search, settings, accesses, outputs and statistics."""
