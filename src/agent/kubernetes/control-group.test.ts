import assert from "node:assert/strict";
import { test } from "node:test";
import { controlGroupOf } from "./control-group.ts";

const uid = "0a1b2c3d-0000-4000-8000-0123456789ab";
const slice = uid.replaceAll("-", "_");
const id = "0123456789abcdef".repeat(4);
const other = "f".repeat(64);
const here = { podUid: uid, containerId: id };

const cases: readonly { readonly name: string; readonly text: string; readonly want: ReturnType<typeof controlGroupOf> }[] = [
  {
    name: "version 2, systemd",
    text: `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${slice}.slice/cri-containerd-${id}.scope\n`,
    want: here,
  },
  { name: "version 2, of a guaranteed pod", text: `0::/kubepods.slice/kubepods-pod${slice}.slice/crio-${id}.scope/container\n`, want: here },
  {
    name: "version 1, without systemd",
    text: `4:memory:/kubepods/besteffort/pod${uid}/${id}\n3:cpu,cpuacct:/kubepods/besteffort/pod${uid}/${id}\n`,
    want: here,
  },
  { name: "below a group of the node's own", text: `0::/node/kubepods/burstable/pod${uid}/${id}\n`, want: here },
  { name: "as seen from another namespace of groups", text: `0::/../../pod${uid}/${id}\n`, want: here },
  { name: "a hierarchy that pods are not in", text: `2:misc:/\n1:name=systemd:/kubepods/pod${uid}/${id}\n`, want: here },
  { name: "a group that a container made below its own, with another's name", text: `0::/kubepods/pod${uid}/${id}/pod1111-2222/${other}\n`, want: here },
  { name: "a process of the node", text: "0::/system.slice/sshd.service\n", want: undefined },
  { name: "a pod's own group, not a container's", text: `0::/kubepods/burstable/pod${uid}\n`, want: undefined },
  { name: "hierarchies that do not agree", text: `2:cpu:/kubepods/pod${uid}/${id}\n1:memory:/kubepods/pod${uid}/${other}\n`, want: undefined },
];
for (const { name, text, want } of cases) test(`a process's pod and container: ${name}`, () => assert.deepEqual(controlGroupOf(text), want));
