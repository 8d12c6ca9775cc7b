/**
 * Connections before any request: which filter chain takes them, TLS and mTLS with static secrets, network RBAC and TCP
 * proxies; Weft's proxy beside Envoy. A peer that is refused is refused by both, and counted alike; Weft's log names it.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { issueKeyPair, newMeshRoot } from "#ca/root.ts";
import { realHost } from "#host/real/real.ts";
import { startBackends, type Backends } from "./backends.ts";
import { connectionsBootstrap, type Identity } from "./connections-bootstrap.ts";
import { type Difference, KNOWN_DIFFERENCES, prometheusOf, settledComparison, statsOf } from "./counters.ts";
import { rawExchange, type RawOptions } from "./raw-exchange.ts";
import { bothLogs, type Sides, skipWithoutEnvoy, startSides } from "./sides.ts";

const HOUR_MS = 3_600_000;
const GET = "GET /x HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n";

interface Clients {
  readonly web: Identity;
  readonly expired: Identity;
  readonly elsewhere: Identity;
  readonly unknown: Identity;
}

async function makeIdentities(): Promise<{ readonly root: string; readonly server: Identity; readonly clients: Clients }> {
  const host = realHost();
  const root = await newMeshRoot(host);
  const stranger = await newMeshRoot(host);
  const issue = (uri: string, lifetimeMs = HOUR_MS, by = root): Promise<Identity> =>
    issueKeyPair(host, by, { uris: [uri], usages: ["server", "client"], lifetimeMs });
  return {
    root: root.certificate,
    server: await issue("spiffe://cluster.local/ns/shop/sa/server"),
    clients: {
      web: await issue("spiffe://cluster.local/ns/shop/sa/web"),
      expired: await issue("spiffe://cluster.local/ns/shop/sa/late", -1_000),
      elsewhere: await issue("spiffe://elsewhere.test/ns/shop/sa/web"),
      unknown: await issue("spiffe://cluster.local/ns/shop/sa/forged", HOUR_MS, stranger),
    },
  };
}

const client = ({ certificate, privateKey }: Identity): { cert: string; key: string } => ({ cert: certificate, key: privateKey });

const KNOWN: readonly Difference[] = [
  ...KNOWN_DIFFERENCES,
  { stat: /bytes_total/, why: "times and ids have lengths of their own" },
  { stat: /^(http\.mesh\.|envoy_http_.*"mesh").*|^envoy_http_downstream_cx_.*"mesh"/, why: "an HTTP connection begins when TLS stands, not before" },
  { stat: /denied/, why: "RBAC decides before anything is connected, where Envoy waits for the first byte with the upstream connected" },
  { stat: /versions.*TLSv1[._][23]|ssl_versions/, why: "as a client Weft offers TLS 1.3 unless tls_params say otherwise, Envoy 1.2" },
  { stat: /tls_inspector.bytes_processed/, why: "not kept" },
  { stat: /ssl[._](ciphers|curves|sigalgs|session_reused|was_key_usage_invalid|certificate)/, why: "OpenSSL and BoringSSL have preferences of their own" },
];

describe("connections to Weft's proxy and to Envoy", { skip: skipWithoutEnvoy }, () => {
  let sides: Sides;
  let backends: Backends;
  let clients: Clients;
  before(async () => {
    const identities = await makeIdentities();
    clients = identities.clients;
    backends = await startBackends(identities.server);
    sides = await startSides((place) => connectionsBootstrap(place, backends, identities));
  });
  after(() => {
    sides?.stop();
    backends?.stop();
  });

  /** What the client saw: the body of an answer, or how it ended. TLS libraries name the same alert alike. */
  const both = async (listener: string, options: Omit<RawOptions, "port">): Promise<readonly [string, string]> => {
    const seen = async (port: number): Promise<string> => {
      const { text, error } = await rawExchange({ port, ...options });
      const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
      // Whether bytes that were never read turn the end into a reset is the system's business.
      return status === undefined
        ? `${text}${error === undefined || error === "ECONNRESET" ? "" : `(${error})`}`
        : `${status} ${text.slice(text.indexOf("\r\n\r\n") + 4)}`;
    };
    return [await seen(sides.weft.port(listener)), await seen(sides.envoy.port(listener))];
  };
  const alike = async (listener: string, options: Omit<RawOptions, "port">, want?: string): Promise<void> => {
    const [weft, envoy] = await both(listener, options);
    assert.equal(weft, envoy);
    if (want !== undefined) assert.equal(weft, want);
  };

  describe("a filter chain is found in Envoy's order", () => {
    const plain = (options: Partial<RawOptions>, want: string): readonly [string, Partial<RawOptions>, string] => [want, options, `200 ${want}`];
    for (const [name, options, want] of [
      plain({}, "plain"),
      plain({ send: "GET /x HTTP/1.0\r\nhost: any.test\r\n\r\n" }, "plain-http10"),
      plain({ to: "127.0.0.12" }, "address"),
      plain({ to: "127.0.0.9" }, "address-narrow"),
      plain({ from: "127.0.1.5" }, "source"),
      plain({ from: "127.0.2.5" }, "direct-source"),
      plain({ from: "127.0.2.7" }, "direct-source-narrow"),
      plain({ tls: { servername: "a.example.org" } }, "exact-name"),
      plain({ tls: { servername: "b.example.org" } }, "any-name"),
      plain({ tls: { servername: "b.example.org", ALPNProtocols: ["h2", "http/1.1"] } }, "any-name-alpn"),
      plain({ tls: { servername: "x.deep.example.org" } }, "deep-name"),
      plain({ to: "127.0.0.10", tls: { servername: "a.example.org" } }, "address-narrow-tls"),
    ])
      it(name, async () => {
        const expected = name === "plain-http10" ? undefined : want;
        await alike("chains", { send: GET, ...options }, expected);
      });

    it("and there is no way back from one that fits better at an earlier criterion", async () => {
      await alike("chains", { send: GET, to: "127.0.0.10" });
      await alike("chains", { send: GET, from: "127.0.3.1" });
      await alike("chains", { send: GET, tls: { servername: "other.test" } });
      await alike("chains", { send: GET, tls: {} });
    });

    it("local and external sources, the default chain, and none", async () => {
      await alike("fallback", { send: GET }, "200 local");
      await alike("fallback", { send: GET, tls: {} });
      await alike("none", { send: GET });
      await alike("none", { send: GET, tls: {} }, "200 tls-only");
    });
  });

  describe("mutual TLS", () => {
    it("lets a peer of the trust domain in, and tells the next hop who it is", async () => {
      const [weft, envoy] = await both("mesh", { send: GET, tls: client(clients.web) });
      assert.match(weft, /^200 .*URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web/);
      assert.equal(weft, envoy);
    });

    for (const [name, options] of [
      ["an expired certificate", () => client(clients.expired)],
      ["a certificate of another trust domain", () => client(clients.elsewhere)],
      ["a certificate that another root signed", () => client(clients.unknown)],
      ["no certificate", () => ({})],
      ["TLS 1.2", () => ({ ...client(clients.web), maxVersion: "TLSv1.2" as const })],
    ] as const)
      it(`refuses ${name}`, async () => {
        const [weft, envoy] = await both("mesh", { send: GET, tls: options() });
        for (const seen of [weft, envoy]) assert.match(seen, /^(\(.*\))?$/);
      });

    for (const [name, send] of [
      ["plain HTTP", GET],
      ["rubbish", "\x00\x01\x02rubbish\r\n\r\n"],
      ["a ClientHello that is cut off", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ] as const)
      it(`refuses ${name}`, async () => {
        const [weft, envoy] = await both("mesh", { send, end: true });
        for (const seen of [weft, envoy]) assert.doesNotMatch(seen, /^\d/);
      });

    it("names who was refused, and why, in the log", async () => {
      const [weft, envoy] = await bothLogs(sides, "mesh.log");
      assert.equal(weft.length, envoy.length);
      assert.ok(weft.some((line) => /late.*expired/.test(line)));
      assert.ok(weft.some((line) => line.includes("elsewhere.test")));
    });

    it("to an upstream: only one with the right name is sent to", async () => {
      const request = (path: string): string => GET.replace("/x", path);
      const [good] = await both("to-tls", { send: request("/good") });
      assert.match(good, /^200 /);
      const [weft, envoy] = await both("to-tls", { send: request("/wrong") });
      assert.match(weft, /^503 upstream connect error .*reset reason: remote connection failure$/);
      assert.equal(weft, envoy);
    });
  });

  describe("TCP", () => {
    it("is passed on both ways, and an end is an end", async () => alike("tcp", { send: ["hello ", "world"], end: true }, "hello world"));
    it("to nobody ends", async () => {
      await alike("tcp-dead", { send: "x" });
      await alike("tcp-nobody", { send: "x" });
    });
    it("that RBAC denies ends, and the log names the policy", async () => {
      await alike("tcp-denied", { send: "x" });
      await alike("tcp-allowed", { send: "x", end: true }, "x");
      const [weft] = await bothLogs(sides, "denied.log");
      assert.match(weft.join("\n"), /rbac_access_denied_matched_policy\[loopback\]/);
    });
    it("writes the same log lines", async () => {
      for (const log of ["tcp.log", "dead.log", "nobody.log"]) {
        const [weft, envoy] = await bothLogs(sides, log);
        assert.deepEqual(weft, envoy, log);
      }
    });
  });

  it("that no chain takes is logged as such", async () => {
    const [weft, envoy] = await bothLogs(sides, "none.log");
    assert.match(weft[0] ?? "", /^NR filter_chain_not_found: no filter chain of listener none is for this raw_buffer/);
    assert.match(envoy[0] ?? "", /^NR /);
    assert.deepEqual(weft.slice(1), envoy.slice(1));
  });

  it("have the same counters after this traffic", async () => {
    const family = /^(http|tcp|listener|cluster|denied|allowed)\.(?!admin)/;
    const { common, ...differences } = await settledComparison(sides, { of: statsOf, family, known: KNOWN });
    assert.deepEqual(differences, { unequal: [], onlyWeft: [], onlyEnvoy: [] });
    assert.ok(common > 300, `only ${common} counters in common`);
  });

  it("have the same names and labels for Prometheus", async () => {
    const family = /^envoy_(?!.*(_bucket|_sum)\{)(?!.*"admin")(?!.*(server|manager|runtime|workers?|filesystem|main_thread|admin)_)/;
    const { common, ...differences } = await settledComparison(sides, { of: prometheusOf, family, known: KNOWN });
    assert.deepEqual(differences, { unequal: [], onlyWeft: [], onlyEnvoy: [] });
    assert.ok(common > 300, `only ${common} samples in common`);
  });
});
