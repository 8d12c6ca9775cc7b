/**
 * Node's HTTP modules, without an import statement: importing a module of Node's touches all that it exports, and one
 * thing that node:http exports (WebSocket) then loads undici, 40 ms of CPU in every process (Node 24.21, 2026-11-21).
 */
import type { Agent as PlainAgent, createServer as createPlain, request as requestPlain } from "node:http";
import type { Agent as TlsAgent, createServer as createTls, request as requestTls } from "node:https";

const plain: { readonly Agent: typeof PlainAgent; readonly createServer: typeof createPlain; readonly request: typeof requestPlain } =
  process.getBuiltinModule("node:http");
const tls: { readonly Agent: typeof TlsAgent; readonly createServer: typeof createTls; readonly request: typeof requestTls } =
  process.getBuiltinModule("node:https");

export const nodeHttp = { plain, tls };
