/**
 * weft-names: answers DNS on each node from what the agent wrote down, so that names are there while an agent is not. It shares
 * its address with its successor, so a new one is there before the old one leaves. It uses no port that the scheduler
 * knows of, because two on one node would never be allowed; and probes ask it by a command, because at a port of the node either
 * of the two might answer.
 */
import { CONFIG_HASH_ANNOTATION, own, SYSTEM, type Manifest } from "./manifest.ts";
import { configMount, configVolume, smallHeap, unprivileged } from "./pod-parts.ts";
import type { InstallSettings } from "./settings.ts";

export const NAMES = "weft-names";
const LABELS = { app: NAMES };
/** Alone in its folder: this program sees nothing else of the agent's. */
const FOLDER = "/run/weft/names";
export const NODE_NAMES_FILE = `${FOLDER}/zone.json`;
/** The pod's own files: another pod of the same node has others. */
const OWN_FOLDER = "/tmp";
export const NAMES_CHECK_SOCKET = `${OWN_FOLDER}/checks.sock`;
/**
 * Not the user of Weft's other programs, nor one that images commonly use: programs of one user may share a port of the node,
 * and would be asked for names as well.
 */
const USER = 53053;

/** It starts a process of Node (0.1 s of a CPU), so it is asked seldom; a start is waited for by one that stays until it is ready. */
const check = (...question: readonly string[]) => ({ exec: { command: ["weft", "names", "--kubernetes", "--check", ...question] } });

export function names({ config, imagePullPolicy }: InstallSettings, hash: string): Manifest {
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: own(NAMES, { namespace: SYSTEM, labels: LABELS }),
    spec: {
      selector: { matchLabels: LABELS },
      // Ready says that questions come to it; one that ends soon after does not replace its predecessor.
      minReadySeconds: 3,
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: { labels: LABELS, annotations: { [CONFIG_HASH_ANNOTATION]: hash } },
        spec: {
          automountServiceAccountToken: false,
          hostNetwork: true,
          dnsPolicy: "Default",
          priorityClassName: "system-node-critical",
          securityContext: { ...unprivileged.pod, runAsUser: USER, runAsGroup: USER },
          terminationGracePeriodSeconds: 5,
          tolerations: [{ operator: "Exists" }],
          containers: [
            {
              name: "names",
              image: config.image,
              imagePullPolicy,
              args: ["names", "--kubernetes"],
              env: [smallHeap],
              // For as long as the node's agent may need: to fail would only start it anew. Ready from then on: kubelet would ask for
              // readiness only when its next period begins, and an installation wait for that.
              startupProbe: { ...check("ready", "--wait", "20"), periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 1000 },
              // Patient: a node without a CPU to spare needs its names, and a start would not make it faster.
              livenessProbe: { ...check("alive"), periodSeconds: 60, timeoutSeconds: 60, failureThreshold: 5 },
              resources: { requests: { cpu: "20m", memory: "64Mi" } },
              securityContext: unprivileged.container,
              volumeMounts: [configMount, { name: "names", mountPath: FOLDER, readOnly: true }, { name: "tmp", mountPath: OWN_FOLDER }],
            },
          ],
          volumes: [
            configVolume,
            { name: "names", hostPath: { path: FOLDER, type: "DirectoryOrCreate" } },
            { name: "tmp", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
          ],
        },
      },
    },
  };
}
