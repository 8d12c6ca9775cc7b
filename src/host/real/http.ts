/** Host.Http over node:http, node:https and ws. Not for the data path: that is Host.Net. */
import type { Http } from "#host/http.ts";
import { request, webSocket } from "./http/client.ts";
import { serve } from "./http/server.ts";

export function realHttp(): Http {
  return { serve, request, webSocket };
}
