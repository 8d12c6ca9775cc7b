import { afterEach, beforeEach, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { ADDRESSES_ANNOTATION } from "#compile/mesh/gateway-address.ts";
import { TestCluster } from "#control/test-cluster.ts";
import { gatewayAddresses } from "./gateway-addresses.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster([gatewayAddresses]);
});
afterEach(() => cluster.stop());

const root = "istio-system";
const front = { name: "istio-ingressgateway", namespace: root };

function putFront(annotations: Readonly<Record<string, string>>): void {
  cluster.put("Service", { metadata: { ...front, annotations }, spec: { type: "LoadBalancer", selector: { istio: "ingressgateway" } } });
}

function putGateway(name: string, ...listeners: readonly (readonly [string, number])[]): void {
  const spec = { gatewayClassName: "weft", listeners: listeners.map(([protocol, port], i) => ({ name: `l${i}`, protocol, port })) };
  cluster.put("Gateway", { metadata: { name, namespace: "shop" }, spec } as never);
}

/** "name type port>targetPort ..." of each, without the digest in its name. */
const addresses = (): readonly string[] =>
  cluster.world
    .inNamespace("Service", root)
    .filter(({ metadata }) => metadata.name !== front.name)
    .map(({ metadata, spec }) =>
      [
        metadata.name.replace(/-[0-9a-f]{8}$/, ""),
        spec.type,
        ...(spec.ports ?? []).map(({ name = "", port, targetPort }) => `${name}:${port}>${String(targetPort)}`),
      ].join(" "),
    );

const become = (wanted: readonly string[]): Promise<void> => cluster.until(() => isDeepStrictEqual(addresses(), wanted));

it("gives each Gateway a Service, whose ports lead to ports of the pod that no other has", async () => {
  putFront({ [ADDRESSES_ANNOTATION]: "own" });
  putGateway("one", ["HTTP", 80], ["HTTP", 80], ["HTTPS", 443], ["TCP", 90]);
  putGateway("two.example", ["HTTP", 80]);
  await become(["gateway-one LoadBalancer http-80:80>20000 https-443:443>20001", "gateway-two-example LoadBalancer http-80:80>20002"]);
});

it("keeps a listener's port while others come and go, and takes the Service along with the Gateway", async () => {
  putFront({ [ADDRESSES_ANNOTATION]: "own" });
  putGateway("one", ["HTTP", 80], ["HTTP", 8080]);
  await become(["gateway-one LoadBalancer http-80:80>20000 http-8080:8080>20001"]);
  putGateway("one", ["HTTP", 8080]);
  putGateway("two", ["HTTP", 80]);
  await become(["gateway-one LoadBalancer http-8080:8080>20001", "gateway-two LoadBalancer http-80:80>20000"]);
  cluster.delete("Gateway", "shop/one");
  await become(["gateway-two LoadBalancer http-80:80>20000"]);
});

it("makes none where Gateways share the address of the ingress gateway, and takes back what it had made", async () => {
  putFront({ [ADDRESSES_ANNOTATION]: "own" });
  putGateway("one", ["HTTP", 80]);
  await become(["gateway-one LoadBalancer http-80:80>20000"]);
  putFront({});
  await become([]);
});
