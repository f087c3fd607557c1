"""Single values: strict JSON, schemas and expressions."""
