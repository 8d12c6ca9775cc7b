/** Answers what `weft up` and `weft status` ask the API, and nothing more: for tests of the supervisor alone. */
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { parseRuntimeConfig } from "#model/config.ts";

const config = parseRuntimeConfig(readFileSync(process.argv[process.argv.indexOf("--config") + 1] ?? "", "utf8"));
const pki = (name: string): Buffer => readFileSync(`${config.runDir}/pki/api/${name}`);
const nodes = config.nodes.map(({ name, podCIDR }) => ({ metadata: { name }, spec: { podCIDR }, status: { conditions: [{ type: "Ready", status: "True" }] } }));

createServer({ cert: pki("tls.crt"), key: pki("tls.key"), ca: pki("ca.crt"), requestCert: true, rejectUnauthorized: true }, (request, response) => {
  const { pathname } = new URL(request.url ?? "/", "https://api");
  if (pathname === "/readyz") return response.end("ok");
  response.setHeader("content-type", "application/json");
  if (request.method === "PATCH" && pathname.endsWith("/refused")) {
    response.statusCode = 422;
    return response.end(JSON.stringify({ kind: "Status", message: "data: Invalid value" }));
  }
  if (request.method === "PATCH") return response.end("{}");
  response.end(JSON.stringify({ items: pathname === "/api/v1/nodes" ? nodes : [] }));
}).listen(6443, config.controlAddress);
