import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeKubernetesConfig, KUBERNETES_DEFAULTS, parseKubernetesConfig } from "./kubernetes-config.ts";

const good = {
  ...KUBERNETES_DEFAULTS,
  image: "localhost/weft:0.1.0",
  serviceCIDR: "172.30.0.0/16",
  podCIDR: "10.0.0.0/8",
  dnsAddress: "172.30.0.10",
  apiServer: "https://192.168.0.1:6443",
};

const cases: readonly { readonly name: string; readonly change: Readonly<Record<string, unknown>>; readonly want: readonly string[] }[] = [
  { name: "what install writes is accepted", change: {}, want: [] },
  { name: "resolvers may be there", change: { dnsUpstreams: "192.0.2.1,192.0.2.2:5353" }, want: [] },
  {
    name: "resolvers are addresses",
    change: { dnsUpstreams: "192.0.2.1,dns.example.org" },
    want: ['dnsUpstreams: Invalid value: "192.0.2.1,dns.example.org": must be IPv4 addresses, with a port or without, by commas'],
  },
  { name: "a range for load balancers may be there", change: { loadBalancerCIDR: "203.0.113.0/24" }, want: [] },
  { name: "a misspelt field is named", change: { dnsAdress: "172.30.0.10" }, want: ['unknown field "dnsAdress"'] },
  { name: "a missing field is named", change: { image: undefined }, want: ["image: Required value"] },
  {
    name: "an unknown profile is refused",
    change: { profile: "ful" },
    want: ['profile: Unsupported value: "ful": supported values: "full", "mesh"'],
  },
  {
    name: "an address is no range",
    change: { podCIDR: "10.0.0.1" },
    want: ['podCIDR: Invalid value: "10.0.0.1": must be an IPv4 range such as 10.0.0.0/16'],
  },
  {
    name: "the API server's URL has no path",
    change: { apiServer: "https://192.0.2.1:6443/api" },
    want: ['apiServer: Invalid value: "https://192.0.2.1:6443/api": must be a URL such as https://192.0.2.1:6443, without a path'],
  },
  { name: "a VNI has 24 bits", change: { vni: 16777216 }, want: ["vni: Invalid value: 16777216: must be a whole number from 1 to 16777215"] },
  {
    name: "pods and services have different addresses",
    change: { podCIDR: "172.16.0.0/12" },
    want: ['podCIDR: Invalid value: "172.16.0.0/12": overlaps with serviceCIDR 172.30.0.0/16'],
  },
  {
    name: "names are asked at an address of a service",
    change: { dnsAddress: "192.0.2.10" },
    want: ['dnsAddress: Invalid value: "192.0.2.10": is not in serviceCIDR 172.30.0.0/16'],
  },
];

describe("KubernetesConfig", () => {
  for (const { name, change, want } of cases) {
    test(name, () => {
      assert.deepEqual(decodeKubernetesConfig({ ...good, ...change }).problems, want);
    });
  }

  test("a program that cannot read it says which object to look at", () => {
    assert.throws(() => parseKubernetesConfig("{"), /^Error: ConfigMap weft-system\/weft-config config.json: not a map of fields; weft install/);
    assert.deepEqual(parseKubernetesConfig(JSON.stringify(good)), good);
  });
});
