/** A server for tests, on loopback with a free port, real storage in a folder of its own, and a kubeconfig for kubectl. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "#host/real/clock.ts";
import { realHttp } from "#host/real/http.ts";
import { realRandom } from "#host/real/random.ts";
import { realStorage } from "#host/real/storage.ts";
import { startApiServer, type ApiServer, type ApiServerOptions } from "./apiserver.ts";
import { testAuthority, type TestAuthority } from "./test-certificates.ts";

export interface Identity {
  readonly certificate?: string;
  readonly privateKey?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json;
}

/** What the API answers is JSON of many shapes; tests look into it as they need. */
type Json = { readonly [key: string]: Json } & readonly Json[] & string & number & boolean;

export type Caller = (
  method: string,
  path: string,
  body?: unknown,
  options?: { readonly as?: Identity; readonly type?: string; readonly accept?: string },
) => Promise<Answer>;

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly folder: string;
  readonly kubeconfig: string;
  readonly authority: TestAuthority;
  readonly admin: { readonly ca: string; readonly certificate: string; readonly privateKey: string };
  /** One request, as the admin unless told otherwise; a body that is no text goes as JSON. */
  readonly call: Caller;
  /** Ends the server as a crash would, and starts it again on the same log and port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startTestServer(more: Partial<ApiServerOptions> = {}, given?: TestAuthority): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), "weft-api-"));
  const authority = given ?? (await testAuthority());
  const serving = await authority.issue("CN=apiserver", { addresses: ["127.0.0.1", "localhost"] });
  const admin = { ca: authority.ca, ...(await authority.issue("CN=kubernetes-admin,O=system:masters")) };
  const start = (port: number) =>
    startApiServer({
      host: { http: realHttp(), storage: realStorage(), clock: realClock(), random: realRandom() },
      address: { ip: "127.0.0.1", port },
      tls: { ...serving, clientCa: authority.ca },
      storagePath: join(folder, "api.db"),
      onBug: (error, what) => process.stderr.write(`bug in ${what}: ${error instanceof Error ? error.stack : String(error)}\n`),
      ...more,
    });
  let server: ApiServer = await start(0);
  const port = "ip" in server.address ? server.address.port : 0;
  const url = `https://127.0.0.1:${port}`;
  const kubeconfig = join(folder, "kubeconfig");
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      clusters: [{ name: "test", cluster: { server: url, "certificate-authority-data": base64(admin.ca) } }],
      users: [{ name: "admin", user: { "client-certificate-data": base64(admin.certificate), "client-key-data": base64(admin.privateKey) } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    }),
  );
  const stop = async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const http = realHttp();
  const call: Caller = async (method, path, body, options = {}) => {
    const { ca, ...own } = admin;
    const response = await http.request({
      method,
      url: url + path,
      tls: { ca, ...(options.as ?? own) },
      headers: { "content-type": options.type ?? "application/json", accept: options.accept ?? "application/json" },
      ...(body === undefined ? {} : { body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    let parsed: unknown = text;
    try {
      parsed = JSON.parse(text);
    } catch {
      // Logs are plain text.
    }
    return { status: response.status, headers: response.headers, body: parsed as Json };
  };
  return {
    url,
    call,
    folder,
    kubeconfig,
    authority,
    admin,
    async restart() {
      await server.stop();
      server = await start(port);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
