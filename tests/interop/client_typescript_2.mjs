// The client of the TypeScript SDK 2, which speaks 2026-07-28 where it can: lists what there is, makes calls, prints what
// came.
//
// client_typescript_2.mjs stdio COMMAND ARG...  |  client_typescript_2.mjs http URL  |  client_typescript_2.mjs sse URL
//
// On stdin are the calls, as JSON: [[tool, arguments], ...].

import { readFileSync } from "node:fs";

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const [kind, ...target] = process.argv.slice(2);
const calls = JSON.parse(readFileSync(0, "utf8"));
const progress = [];

function transport() {
  if (kind === "stdio") {
    return new StdioClientTransport({ command: target[0], args: target.slice(1), env: process.env, stderr: "inherit" });
  }
  const url = new URL(target[0]);
  return kind === "sse" ? new SSEClientTransport(url) : new StreamableHTTPClientTransport(url);
}

const client = new Client({ name: "interop", version: "1" }, { versionNegotiation: { mode: "auto" } });
await client.connect(transport());
const { tools } = await client.listTools();
const { resources } = await client.listResources();
const { resourceTemplates } = await client.listResourceTemplates();
const { prompts } = await client.listPrompts();
const results = [];
for (const [name, args] of calls) {
  const onprogress = ({ progress: done, total, message }) => progress.push([done, total ?? null, message ?? null]);
  results.push(await client.callTool({ name, arguments: args }, { onprogress }));
}
const protocol = client.getNegotiatedProtocolVersion();
const server = client.getServerVersion().name;
await client.close();
const lists = {
  tools: tools.map((tool) => tool.name),
  resources: resources.map((resource) => resource.uri),
  templates: resourceTemplates.map((template) => template.uriTemplate),
  prompts: prompts.map((prompt) => prompt.name),
};
console.log(JSON.stringify({ protocol, server, ...lists, results, progress }));
