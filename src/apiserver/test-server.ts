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

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly folder: string;
  readonly kubeconfig: string;
  readonly authority: TestAuthority;
  readonly admin: { readonly ca: string; readonly certificate: string; readonly privateKey: string };
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
  return {
    url,
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
