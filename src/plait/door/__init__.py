"""The small process between a client's pipe and the gateway that all clients of a user share.

It starts in the time of a bare interpreter: only the standard library is imported, and of that
neither `asyncio`, `json`, `socket` nor `dataclasses`, which cost more than all the rest.
"""
