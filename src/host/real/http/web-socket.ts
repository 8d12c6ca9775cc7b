/** WebSockets by ws, without compression: what goes through is small or already compressed. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { RawData, WebSocket } from "ws";
import type { WebSocketConnection, WebSocketHandler } from "#host/http.ts";

interface Upgraded {
  readonly message: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly protocol: string | undefined;
}

export function acceptWebSocket({ message, socket, head, protocol }: Upgraded, handler: WebSocketHandler): WebSocketConnection {
  const server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, handleProtocols: () => protocol ?? false });
  const early: (() => void)[] = [];
  let opened: WebSocketConnection | undefined;
  // ws calls back in the same turn; when it refuses a malformed handshake it never does.
  server.handleUpgrade(message, socket, head, (webSocket) => {
    opened = connectionOf(webSocket, handler);
    for (const action of early) action();
  });
  if (opened === undefined) socket.once("close", () => handler.onClose());
  return {
    send: (bytes) => (opened === undefined ? void early.push(() => opened?.send(bytes)) : opened.send(bytes)),
    close: (code, reason) => (opened === undefined ? void early.push(() => opened?.close(code, reason)) : opened.close(code, reason)),
    get bufferedBytes() {
      return opened?.bufferedBytes ?? 0;
    },
  };
}

export function connectionOf(webSocket: WebSocket, handler: WebSocketHandler): WebSocketConnection {
  webSocket.on("message", (data: RawData, isBinary: boolean) => handler.onMessage(bytesOf(data), isBinary));
  webSocket.on("error", () => webSocket.terminate());
  webSocket.once("close", () => handler.onClose());
  return {
    send(bytes) {
      if (webSocket.readyState === webSocket.OPEN) webSocket.send(bytes);
    },
    close: (code, reason) => webSocket.close(code, reason),
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
  };
}

function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}
