"""The language: documents as clients send them, and the references in them."""
