import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CliError } from "#cli/context.ts";
import type { ClusterFacts } from "./discover.ts";
import { settingsFrom } from "./settings.ts";

const facts: ClusterFacts = {
  version: "v1.35.4",
  nodes: ["n1"],
  apiServer: "https://192.168.0.1:6443",
  serviceCIDR: "172.30.0.0/16",
  podCIDR: "10.0.0.0/16",
  dnsAddress: "172.30.0.10",
  hasForeignDns: false,
  unknown: {},
};

const flags = { profile: "full", image: "example.org/weft:1", set: [] as readonly string[] };

function refusal(set: readonly string[], more: Partial<typeof flags> = {}): string {
  try {
    settingsFrom({ ...flags, ...more, set }, facts, undefined);
  } catch (error) {
    if (error instanceof CliError) return error.message;
    throw error;
  }
  return "";
}

describe("settings of an installation", () => {
  test("what the cluster tells need not be said", () => {
    const { config, control, gateway } = settingsFrom(flags, facts, undefined);
    assert.equal(config.podCIDR, "10.0.0.0/16");
    assert.equal(config.loadBalancerCIDR, undefined);
    assert.deepEqual([control.replicas, gateway.install, gateway.allSecrets], [2, true, false]);
  });

  test("what is said counts more", () => {
    const set = ["podCIDR=10.1.0.0/16", "loadBalancerCIDR=203.0.113.0/24", "control.replicas=1", "gateway.install=false"];
    const { config, control, gateway } = settingsFrom({ ...flags, set }, facts, undefined);
    assert.deepEqual([config.podCIDR, config.loadBalancerCIDR, control.replicas, gateway.install], ["10.1.0.0/16", "203.0.113.0/24", 1, false]);
  });

  test("a kube-dns of somebody else is left alone", () => {
    assert.equal(settingsFrom(flags, { ...facts, hasForeignDns: true }, undefined).dns.service, false);
  });

  for (const { set, want } of [
    { set: ["podCIDr=10.0.0.0/8"], want: '--set podCIDr=10.0.0.0/8: there is no "podCIDr"; did you mean podCIDR?' },
    { set: ["vni"], want: "--set vni: write vni=VALUE (VXLAN network identifier)" },
    { set: ["vni=many"], want: "--set vni=many: must be a whole number from 1" },
    { set: ["crds.install=no"], want: "--set crds.install=no: must be true or false" },
    { set: ["gateway.serviceType=Ingress"], want: "--set gateway.serviceType=Ingress: must be LoadBalancer or NodePort or ClusterIP" },
    { set: ["dnsAddress=10.0.0.1"], want: '--set dnsAddress: Invalid value: "10.0.0.1": is not in serviceCIDR 172.30.0.0/16' },
  ]) {
    test(`${set.join()} is refused with what to write`, () => assert.equal(refusal(set), want));
  }

  test("what profile mesh does not ask for is refused there, and is not parsed in vain", () => {
    assert.equal(refusal(["vni=7"], { profile: "mesh" }), "--set vni: it is of profile full; in profile mesh nothing asks for it, leave it out");
    assert.equal(refusal(["loadBalancerCIDR=203.0.113.0/24"], { profile: "mesh" }), "");
  });

  test("an unknown profile names the ones that are there", () => {
    assert.equal(refusal([], { profile: "all" }), '--profile: Unsupported value: "all": supported values: "full", "mesh"');
  });

  test("without a cluster, what it would have told is asked for", () => {
    assert.throws(
      () => settingsFrom({ ...flags, set: ["apiServer=https://192.168.0.1:6443", "dnsAddress=172.30.0.10"] }, undefined, "there is no kubeconfig"),
      /the cluster was not asked \(there is no kubeconfig\).*\n.*--set serviceCIDR=\.\.\..*\n.*--set podCIDR=\.\.\./,
    );
  });

  test("what the cluster does not tell is asked for with the reason", () => {
    assert.throws(
      () => settingsFrom(flags, { ...facts, podCIDR: undefined, unknown: { podCIDR: "Node n1 has no spec.podCIDR" } }, undefined),
      /--set podCIDR=\.\.\. .*\n.*\(Node n1 has no spec\.podCIDR\)/,
    );
  });
});
