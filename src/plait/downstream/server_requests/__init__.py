"""Requests that servers send to clients, and log messages: which client each of them is for."""
