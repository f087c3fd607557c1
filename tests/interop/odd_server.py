"""An MCP server that lists and answers what a file says, however odd: one line of JSON for each
message, and nothing is checked.

odd_server.py FILE"""

import json
import sys

with open(sys.argv[1]) as file:
    ODD = json.load(file)
LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}


def result(method, params):
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
            "serverInfo": {"name": "odd", "version": "1"},
        }
    if method in LISTS:
        return {LISTS[method]: ODD.get(LISTS[method], [])}
    if method == "tools/call":
        return ODD.get("results", {}).get(params["name"], {"content": []})
    return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if (found := result(request["method"], request.get("params", {}))) is not None:
        answer["result"] = found
    else:
        answer["error"] = {"code": -32601, "message": "Method not found"}
    print(json.dumps(answer), flush=True)
