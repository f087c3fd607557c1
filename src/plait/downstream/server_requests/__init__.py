"""Requests and log messages that servers send: which client each is for."""
