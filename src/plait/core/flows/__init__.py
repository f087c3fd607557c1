"""Flows: which tools' data can reach which calls, decided before anything runs."""
