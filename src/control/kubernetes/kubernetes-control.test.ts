/** Two replicas on one API server, under virtual time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { X509Certificate } from "node:crypto";
import { startApiServer } from "#apiserver/apiserver.ts";
import { testAuthority } from "#apiserver/test-certificates.ts";
import { connectApi, type ApiClient } from "#client/client.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { KubeObject } from "#model/object.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import { createLog } from "#run/log.ts";
import { startKubernetesControl, type KubernetesControl } from "./kubernetes-control.ts";

const CONFIG = { image: "localhost/weft:test", clusterDomain: "cluster.local", systemNamespace: "weft-system", loadBalancerCIDR: "198.51.100.0/28" };

class Scene {
  readonly world = new FakeWorld();
  /** "control-a PATCH /apis/...": what replicas wrote. */
  readonly writes: string[] = [];
  readonly lines: string[] = [];
  readonly #admin = testAuthority();

  async play(script: (api: ApiClient) => Promise<void>): Promise<void> {
    const authority = await this.#admin;
    await this.world.drive(
      (async () => {
        const host = fakeHost(this.world, { name: "api" });
        const tls = { ...(await authority.issue("CN=api", { addresses: ["192.0.2.1"] })), clientCa: authority.ca };
        const server = await startApiServer({ host, address: { ip: "192.0.2.1", port: 6443 }, tls, storagePath: "/api.db" });
        const api = await this.#api("admin");
        await api.create("Namespace", { apiVersion: "v1", kind: "Namespace", metadata: { name: "weft-system" } });
        await script(api);
        await server.stop();
      })(),
    );
  }

  async #api(name: string): Promise<ApiClient> {
    const authority = await this.#admin;
    const host = fakeHost(this.world, { name });
    const request: typeof host.http.request = (options) => {
      if (name !== "admin" && options.method !== "GET" && !options.url.includes("/leases"))
        this.writes.push(`${name} ${options.method} ${new URL(options.url).pathname}`);
      return host.http.request(options);
    };
    const own = { ca: authority.ca, ...(await authority.issue(`CN=${name}, O=system:masters`)) };
    return connectApi({ host: { http: { ...host.http, request } }, url: "https://192.0.2.1:6443", tls: own });
  }

  async replica(name: string, ip: string): Promise<KubernetesControl> {
    const host = fakeHost(this.world, { name });
    const log = createLog({ program: name, clock: host.clock, write: (line) => void this.lines.push(line) });
    return startKubernetesControl(host, { api: await this.#api(name), config: CONFIG, identity: name, log, ip });
  }

  sleep(milliseconds: number): Promise<void> {
    return this.world.clock.sleep(milliseconds);
  }

  async page(ip: string, path: string): Promise<string> {
    const response = await fakeHost(this.world, { name: "kubelet" }).http.request({ method: "GET", url: `http://${ip}:15014${path}` });
    return `${response.status} ${await response.text()}`;
  }
}

const route = (name: string): Kinds["VirtualService"] => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name, namespace: "default" },
  spec: { hosts: [name], http: [{ route: [{ destination: { host: "nobody" } }] }] },
});

async function conditions(api: ApiClient, kind: KindId, name: string): Promise<string> {
  const { status } = (await api.get(kind, name, "default")) as KubeObject & {
    readonly status?: { readonly conditions?: readonly { type: string; status: string }[] };
  };
  return (status?.conditions ?? []).map((each) => `${each.type}=${each.status}`).join(" ");
}

test("one of two replicas makes the root and writes statuses; both serve; when it goes the other writes; at rest nobody does", async () => {
  const scene = new Scene();
  await scene.play(async (api) => {
    const a = await scene.replica("control-a", "192.0.2.10");
    await a.ready;
    const b = await scene.replica("control-b", "192.0.2.11");
    await b.ready;
    assert.deepEqual([a.isLeader, b.isLeader], [true, false]);
    const secret = await api.get("Secret", "weft-ca", "weft-system");
    const root = await api.get("ConfigMap", "weft-root", "weft-system");
    assert.equal(Buffer.from(secret.data?.["tls.crt"] ?? "", "base64").toString(), root.data?.["root-cert.pem"]);
    assert.equal(new X509Certificate(root.data?.["root-cert.pem"] ?? "").subjectAltName, "URI:spiffe://cluster.local");

    await api.create("VirtualService", route("one"));
    await api.create("Service", {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "lb", namespace: "default" },
      spec: { type: "LoadBalancer", ports: [{ port: 80 }] },
    });
    await scene.sleep(1_000);
    assert.equal(await conditions(api, "VirtualService", "one"), "Accepted=True ResolvedRefs=False FullySupported=True");
    assert.equal((await api.get("Service", "lb", "default")).status?.loadBalancer?.ingress?.[0]?.ip, "198.51.100.0");
    scene.writes.length = 0;
    await scene.sleep(120_000);
    assert.equal(scene.writes.join(), "", "at rest");

    for (const ip of ["192.0.2.10", "192.0.2.11"]) assert.match(await scene.page(ip, "/readyz"), /^200 /);
    const stopping = a.stop();
    await scene.sleep(100);
    assert.match(await scene.page("192.0.2.10", "/readyz"), /^503 [^]*\[-\]leaving/);
    await stopping;
    await scene.sleep(3_000);
    assert.equal(b.isLeader, true);
    assert.equal(scene.writes.join(), "", "a new leader finds all as it should be");
    await api.create("VirtualService", route("two"));
    await scene.sleep(1_000);
    assert.equal(await conditions(api, "VirtualService", "two"), "Accepted=True ResolvedRefs=False FullySupported=True");
    assert.deepEqual(
      scene.writes.map((line) => line.split(" ")[0]),
      ["control-b"],
    );
    assert.match(await scene.page("192.0.2.11", "/metrics"), /weft_control_leads 1\n/);
    await b.stop();
  });
});

test("a root that is there is used and never written over, and comes back when it is deleted", async () => {
  const scene = new Scene();
  await scene.play(async (api) => {
    const a = await scene.replica("control-a", "192.0.2.10");
    await a.ready;
    const before = await api.get("Secret", "weft-ca", "weft-system");
    await a.stop();
    const b = await scene.replica("control-b", "192.0.2.11");
    await b.ready;
    assert.deepEqual((await api.get("Secret", "weft-ca", "weft-system")).data, before.data);
    await scene.sleep(20_000);
    await api.delete("Secret", { name: "weft-ca", namespace: "weft-system" });
    await api.patch("ConfigMap", { name: "weft-root", namespace: "weft-system" }, { data: { "root-cert.pem": "damaged" } });
    await scene.sleep(2_000);
    assert.deepEqual((await api.get("Secret", "weft-ca", "weft-system")).data, before.data);
    assert.match((await api.get("ConfigMap", "weft-root", "weft-system")).data?.["root-cert.pem"] ?? "", /BEGIN CERTIFICATE/);
    await b.stop();
  });
});

test("a root that cannot be used is said, and nothing is served with another", async () => {
  const scene = new Scene();
  await scene.play(async (api) => {
    const data = { "tls.crt": Buffer.from("no certificate").toString("base64"), "tls.key": "" };
    await api.create("Secret", { apiVersion: "v1", kind: "Secret", metadata: { name: "weft-ca", namespace: "weft-system" }, data });
    const a = await scene.replica("control-a", "192.0.2.10");
    await scene.sleep(30_000);
    assert.match(await scene.page("192.0.2.10", "/readyz"), /^503 [^]*\[-\]root/);
    assert.ok(scene.lines.some((line) => line.includes('Secret weft-system/weft-ca data[\\"tls.crt\\"] is not a certificate in PEM')));
    assert.deepEqual((await api.get("Secret", "weft-ca", "weft-system")).data, data);
    await a.stop();
  });
});

test("only Secrets that Gateways name are read", async () => {
  const scene = new Scene();
  await scene.play(async (api) => {
    const a = await scene.replica("control-a", "192.0.2.10");
    await a.ready;
    const gateway: Kinds["Gateway"] = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name: "web", namespace: "default" },
      spec: { gatewayClassName: "weft", listeners: [{ name: "https", port: 443, protocol: "HTTPS", tls: { certificateRefs: [{ name: "cert" }] } }] },
    } as unknown as Kinds["Gateway"];
    await api.create("Gateway", gateway);
    await scene.sleep(1_000);
    const reason = async (): Promise<string> => {
      const { status } = (await api.get("Gateway", "web", "default")) as unknown as {
        status?: { listeners?: { conditions: { type: string; message: string }[] }[] };
      };
      return status?.listeners?.[0]?.conditions.find(({ type }) => type === "ResolvedRefs")?.message ?? "none";
    };
    assert.equal(await reason(), "Secret default/cert does not exist");
    for (const name of ["cert", "other"]) {
      await api.create("Secret", { apiVersion: "v1", kind: "Secret", metadata: { name, namespace: "default" }, data: {} });
    }
    await scene.sleep(1_000);
    assert.equal(await reason(), 'Secret default/cert has no data["tls.crt"]');
    await api.delete("Gateway", { name: "web", namespace: "default" });
    await scene.sleep(1_000);
    await a.stop();
  });
});
