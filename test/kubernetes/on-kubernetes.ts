/** A cluster of Kubernetes for the tests of one file: brought up before them, taken down after them, whatever happened. */
import { after, afterEach, before, describe } from "node:test";
import { missingCluster, profileFits, startKubernetes, type KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { keepEvidence } from "#tools/kubernetes/evidence.ts";
import type { Profile } from "#tools/kubernetes/peer.ts";
import { serveNames } from "#tools/kubernetes/names.ts";
import { progress } from "#tools/kubernetes/progress.ts";

const TIMEOUT_MS = 40 * 60_000;

/** `tests` are defined at once and run in their order; the cluster is there when they run. */
export function onKubernetes(title: string, profile: Profile, tests: (cluster: () => KubernetesCluster) => void): void {
  const skip = missingCluster() ?? (profileFits(profile) ? false : `WEFT_TEST_PROFILE says that the cluster of KUBECONFIG is not for profile ${profile}`);
  if (skip !== false) process.stderr.write(`SKIPPED ${title}: ${skip}\n`);
  let cluster: KubernetesCluster | undefined;
  let failures = 0;
  const running = (): KubernetesCluster => {
    if (cluster === undefined) throw new Error("the cluster did not come up");
    return cluster;
  };
  describe(title, { skip, timeout: TIMEOUT_MS }, () => {
    before(async () => {
      cluster = await startKubernetes(profile);
      await serveNames(cluster);
    });
    afterEach((context) => {
      if ("passed" in context && context.passed === false) failures += 1;
    });
    after(async () => {
      if (cluster === undefined) return;
      try {
        if (failures > 0) progress(`objects, events and logs are kept in ${await keepEvidence(cluster, profile)}`);
      } finally {
        await cluster.stop();
      }
    });
    tests(running);
  });
}

/** Asks until the answer will do; then, or when the time is up, answers the last one. */
export async function eventually<T>(ask: () => Promise<T>, isEnough: (answer: T) => boolean, patienceMs = 60_000): Promise<T> {
  for (const end = Date.now() + patienceMs; ; await new Promise((resolve) => setTimeout(resolve, 300))) {
    const answer = await ask();
    if (isEnough(answer) || Date.now() > end) return answer;
  }
}
