/**
 * What the two halves of the supervisor say to each other, one JSON object a line: the outer half (`weft up`, in the
 * user's namespaces) writes to the inner half's standard input and reads its standard output. When either end closes,
 * the other half knows that its peer is gone.
 */
import type { RuntimeConfig } from "./config.ts";

export type ToInner =
  | {
      readonly kind: "start";
      readonly config: RuntimeConfig;
      /** The programs' whole environment. */
      readonly env: Readonly<Record<string, string>>;
      readonly certificates: readonly ProgramCertificate[];
    }
  | { readonly kind: "stop" }
  /** Without an answer: none of the machine's resolvers gave one. */
  | { readonly kind: "names-answer"; readonly id: number; readonly base64?: string };

export type FromInner =
  /** Said by init before the inner half runs; the pid as the outer half sees it. */
  | { readonly kind: "init"; readonly pid: number }
  | { readonly kind: "network"; readonly nodes: number }
  | { readonly kind: "started"; readonly program: string; readonly pid: number }
  | { readonly kind: "exited"; readonly program: string; readonly status: string; readonly log: string }
  /** A DNS query for a name outside the cluster. */
  | { readonly kind: "names-query"; readonly id: number; readonly base64: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "stopped" };

/** PEM. Becomes /run/weft/pki/<program>/{tls.crt,tls.key,ca.crt}. */
export interface ProgramCertificate {
  readonly program: string;
  readonly certificate: string;
  readonly privateKey: string;
  readonly ca: string;
}

/** Unix socket, in the cluster's mount namespace, through which the outer half reaches addresses of the cluster. */
export const FORWARD_SOCKET = "/run/weft/forward.sock";

/** First bytes of a forwarded connection: where it goes. */
export function forwardHeader(ip: string, port: number): string {
  return `${ip} ${port}\n`;
}

/** undefined: not complete yet. Throws on what is no header. */
export function parseForwardHeader(bytes: Uint8Array): { readonly ip: string; readonly port: number; readonly length: number } | undefined {
  const end = bytes.indexOf(10);
  // 45 characters of the longest IPv6 text, a blank, 5 digits.
  if (end < 0 && bytes.length <= 51) return undefined;
  const match = /^([0-9a-f.:]{2,45}) ([0-9]{1,5})$/.exec(Buffer.from(bytes.subarray(0, Math.max(end, 0))).toString("latin1"));
  if (match?.[1] === undefined || match[2] === undefined) throw new Error("not a forward header: want ADDRESS PORT");
  return { ip: match[1], port: Number(match[2]), length: end + 1 };
}

/** Splits a byte stream into lines of JSON. */
export function lineReader<T>(received: (message: T) => void): (bytes: Uint8Array) => void {
  let rest = "";
  const decoder = new TextDecoder();
  return (bytes) => {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") received(JSON.parse(line) as T);
  };
}
