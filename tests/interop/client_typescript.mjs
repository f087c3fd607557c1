// The client of the TypeScript SDK 1: lists what there is, makes calls, prints what came.
//
// client_typescript.mjs stdio COMMAND ARG...  |  client_typescript.mjs http URL  |  client_typescript.mjs sse URL
//
// On stdin are the calls, as JSON: [[tool, arguments], ...].

import { readFileSync } from "node:fs";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

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

// The transport is told the version that was agreed on, and nobody else is.
const wire = transport();
let protocol;
const tell = wire.setProtocolVersion?.bind(wire);
wire.setProtocolVersion = (version) => {
  protocol = version;
  tell?.(version);
};

const client = new Client({ name: "interop", version: "1" });
await client.connect(wire);
const { tools } = await client.listTools();
const { resources } = await client.listResources();
const { resourceTemplates } = await client.listResourceTemplates();
const { prompts } = await client.listPrompts();
const results = [];
for (const [name, args] of calls) {
  const onprogress = ({ progress: done, total, message }) => progress.push([done, total ?? null, message ?? null]);
  results.push(await client.callTool({ name, arguments: args }, undefined, { onprogress }));
}
const server = client.getServerVersion().name;
await client.close();
const lists = {
  tools: tools.map((tool) => tool.name),
  resources: resources.map((resource) => resource.uri),
  templates: resourceTemplates.map((template) => template.uriTemplate),
  prompts: prompts.map((prompt) => prompt.name),
};
console.log(JSON.stringify({ protocol, server, ...lists, results, progress }));
