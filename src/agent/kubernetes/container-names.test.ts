import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { containerNames } from "./container-names.ts";

const KUBELET = "/srv/kubelet";
const mount = (root: string, device = "259:1"): string => `1830 1817 ${device} ${root} /dev/termination-log rw,relatime - ext4 /dev/root rw\n`;
const OVERLAY = "1817 1700 0:98 / / ro,relatime - overlay overlay rw\n";

const cases: readonly { readonly name: string; readonly mounts: string; readonly want: string | undefined }[] = [
  { name: "a container", mounts: mount(`${KUBELET}/pods/uid-1/containers/istio-proxy/3f2a9c01`), want: "istio-proxy" },
  { name: "a container with volumes", mounts: mount(`${KUBELET}/pods/uid-1/volumes/v/x`) + mount(`${KUBELET}/pods/uid-1/containers/app/01`), want: "app" },
  { name: "another pod's container", mounts: mount(`${KUBELET}/pods/uid-2/containers/istio-proxy/3f2a9c01`), want: undefined },
  { name: "a file system of its own with the same path", mounts: mount(`${KUBELET}/pods/uid-1/containers/istio-proxy/1`, "0:70"), want: undefined },
  { name: "a volume with the same path in it", mounts: mount(`${KUBELET}/pods/uid-1/volumes/v/pods/uid-1/containers/istio-proxy/1`), want: undefined },
  {
    name: "a container with another's file",
    mounts: mount(`${KUBELET}/pods/uid-1/containers/istio-proxy/1`) + mount(`${KUBELET}/pods/uid-1/containers/app/1`),
    want: undefined,
  },
  { name: "no container", mounts: "", want: undefined },
];

for (const { name, mounts, want } of cases) {
  test(`${name} is ${want ?? "not told"}`, async () => {
    const host = fakeHost(new FakeWorld(), { name: "node-1" });
    await host.files.makeDirectory("/proc/self");
    await host.files.makeDirectory("/proc/10");
    await host.files.writeAtomic("/proc/self/mountinfo", OVERLAY + mount(`${KUBELET}/pods/agents-uid/containers/agent/77`));
    await host.files.writeAtomic("/proc/10/mountinfo", OVERLAY + mounts);
    assert.equal(await (await containerNames(host.files))?.(10, "uid-1"), want);
  });
}

test("where kubelet did not start the agent nothing is told", async () => {
  const host = fakeHost(new FakeWorld(), { name: "node-1" });
  await host.files.makeDirectory("/proc/self");
  await host.files.writeAtomic("/proc/self/mountinfo", OVERLAY);
  assert.equal(await containerNames(host.files), undefined);
});
