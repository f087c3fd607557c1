"""Strict JSON, schemas and expressions: what holds of single values."""
