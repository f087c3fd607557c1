"""Which servers are known to keep something between calls."""

from __future__ import annotations

import pytest

from plait.config.scope import default_scope


@pytest.mark.parametrize(
    "line",
    [
        "npx @playwright/mcp@latest",
        "npx -y @executeautomation/playwright-mcp-server",
        "npx -y @modelcontextprotocol/server-puppeteer",
        "bunx chrome-devtools-mcp@1.2.0 --headless",
        "npx.cmd @browsermcp/mcp@latest",
        "pnpm dlx puppeteer-mcp-server",
        "node /opt/node_modules/@playwright/mcp/cli.js",
        "node /home/ada/playwright-server.js",
        "docker run -i --rm -e BROWSER=1 mcp/playwright:latest",
        "docker run -i mcr.microsoft.com/playwright/mcp",
        "uvx jupyter-mcp-server==0.1",
        "uv --directory /home/ada/x run serena",
        "uvx --from git+https://github.com/oraios/serena serena-mcp-server",
        "python3.12 -m mcp_browser_use",
        "npx -y @modelcontextprotocol/server-sequential-thinking",
        "docker run mcp/sequentialthinking",
        "npx @wonderwhy-er/desktop-commander@latest",
        "/opt/bin/mcp-server-playwright",
        "python-repl",
    ],
)
def test_browsers_interpreters_and_thinking_are_for_one_client(line: str):
    command, *args = line.split()
    assert default_scope(command, args) == "client"


@pytest.mark.parametrize(
    "line",
    [
        "npx -y @modelcontextprotocol/server-filesystem /home/ada/browser",
        "npx -y @modelcontextprotocol/server-memory",
        "uvx mcp-server-git --repository /home/ada/playwright",
        "npx replicate-mcp",
        "docker run -i -v /home/ada/playwright:/x mcp/fetch",
        "docker run",
        "python server.py playwright",
        "my-server --browser",
        "node",
    ],
)
def test_all_others_are_for_the_machine(line: str):
    command, *args = line.split()
    assert default_scope(command, args) == "machine"


def test_a_server_without_a_command_is_for_the_machine():
    assert default_scope(None, ()) == "machine"
