"""Observers: they are notified of everything and change nothing."""
