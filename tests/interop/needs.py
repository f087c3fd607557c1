"""What people type when they look for a tool, and the tools that serve it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Needs: TypeAlias = Mapping[str, tuple[str, ...]]
"""The tools that serve each need. Several are equally right."""

NEEDS: Needs = {
    "read file": ("files:read_text_file",),
    "open a text file and show me its contents": ("files:read_text_file",),
    "read several files at once": ("files:read_multiple_files",),
    "look at a picture": ("files:read_media_file",),
    "save text to disk": ("files:write_file",),
    "create a new file": ("files:write_file",),
    "change a line in a file": ("files:edit_file",),
    "replace text in a file": ("files:edit_file",),
    "make a folder": ("files:create_directory",),
    "what is in this folder": ("files:list_directory", "files:list_directory_with_sizes"),
    "list files": ("files:list_directory", "files:list_directory_with_sizes"),
    "which files are the largest": ("files:list_directory_with_sizes",),
    "show the folder structure as a tree": ("files:directory_tree",),
    "rename a file": ("files:move_file",),
    "find files by name": ("files:search_files",),
    "when was this file modified": ("files:get_file_info",),
    "which folders may I use": ("files:list_allowed_directories",),
    "what time is it": ("time:get_current_time",),
    "current date in Tokyo": ("time:get_current_time",),
    "convert 3pm London to New York time": ("time:convert_time",),
    "show git history": ("git:git_log",),
    "what changed in the repo": (
        "git:git_diff_unstaged",
        "git:git_status",
        "git:git_diff",
        "git:git_diff_staged",
    ),
    "commit my changes": ("git:git_commit",),
    "stage files": ("git:git_add",),
    "unstage everything": ("git:git_reset",),
    "switch to another branch": ("git:git_checkout",),
    "create a branch": ("git:git_create_branch",),
    "list branches": ("git:git_branch",),
    "compare two branches": ("git:git_diff",),
    "show a commit": ("git:git_show",),
    "git status": ("git:git_status",),
    "remember something about a person": ("memory:add_observations", "memory:create_entities"),
    "what do you know about Ada": ("memory:search_nodes", "memory:open_nodes", "memory:read_graph"),
    "forget a person": ("memory:delete_entities",),
    "show everything in memory": ("memory:read_graph",),
    "link two people": ("memory:create_relations",),
    "download a web page": ("fetch:fetch",),
    "get the contents of a URL": ("fetch:fetch",),
    "add two numbers": ("everything:get-sum",),
    "show environment variables": ("everything:get-env",),
}
"""The needs that the ranking was made with."""

HELD_OUT: Needs = {
    "move a file to another folder": ("files:move_file",),
    "overwrite a file": ("files:write_file",),
    "how big is this file": ("files:get_file_info", "files:list_directory_with_sizes"),
    "search for files matching *.py": ("files:search_files",),
    "recent commits": ("git:git_log",),
    "what is staged for the next commit": ("git:git_diff_staged",),
    "time zone conversion": ("time:convert_time",),
    "read a website": ("fetch:fetch",),
    "delete a fact from memory": ("memory:delete_observations",),
    "search memory": ("memory:search_nodes",),
    "compress a file": ("everything:gzip-file-as-resource",),
    "get an image": ("everything:get-tiny-image", "files:read_media_file"),
}
"""Needs that the ranking was not made with, to see whether it holds for others too."""
