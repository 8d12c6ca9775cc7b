/** Names of a certificate as Node prints them: `URI:spiffe://a/ns/b, DNS:c`; odd values are quoted as JSON strings. */
const ENTRY = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g;

export function subjectAltNames(text: string | undefined): { readonly uris: readonly string[]; readonly dnsNames: readonly string[] } {
  const uris: string[] = [];
  const dnsNames: string[] = [];
  for (const [, kind, quoted = ""] of (text ?? "").matchAll(ENTRY)) {
    const value = quoted.startsWith('"') ? String(JSON.parse(quoted)) : quoted;
    if (kind === "URI") uris.push(value);
    else if (kind === "DNS") dnsNames.push(value);
  }
  return { uris, dnsNames };
}
