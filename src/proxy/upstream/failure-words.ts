/** Why there is no connection, in the words that people look for: Envoy's for what the system said, ours for TLS. */
import type { NetError } from "#host/net.ts";

const SYSTEM_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "delayed connect error: Connection refused",
  ECONNRESET: "delayed connect error: Connection reset by peer",
  EHOSTUNREACH: "delayed connect error: No route to host",
  ENETUNREACH: "immediate connect error: Network is unreachable",
};
/** The system's own codes are of the connection; all others come from TLS (ERR_SSL_..., CERT_HAS_EXPIRED). */
const SYSTEM_CODE = /^E[A-Z0-9]+$/;

export function failureWords(error: NetError | undefined): string {
  if (error === undefined) return "closed";
  return SYSTEM_WORDS[error.code] ?? (SYSTEM_CODE.test(error.code) ? error.message : `TLS error: ${error.message}`);
}
