/** Profile mesh: behind Debian's bridge plugin and Kubernetes' own proxy, which keep pods' network, Services and names. */
import type { Footprint } from "#tools/kubernetes/footprint.ts";
import { agentsWriteOfTheirOwnNode, latePodsAreJoined, proxiesStartWithoutControl } from "./agent-tests.ts";
import { upstreamBookinfoHolds } from "./bookinfo-tests.ts";
import { leaderMayDie, nothingIsWrittenAtRest } from "./control-tests.ts";
import { definitionsRefuse } from "./definition-tests.ts";
import { onKubernetes } from "./on-kubernetes.ts";
import { plainUsersMayAsk } from "./reader-tests.ts";
import { demoHolds, installs, jobEnds, probesOfStrictPods, uninstallLeavesNothing } from "./shared-tests.ts";

onKubernetes("weft as the mesh behind another network", "mesh", (cluster) => {
  let before: Footprint = new Set();
  installs(cluster, (footprint) => {
    before = footprint;
  });
  demoHolds(cluster);
  nothingIsWrittenAtRest(cluster);
  leaderMayDie(cluster);
  jobEnds(cluster);
  probesOfStrictPods(cluster);
  definitionsRefuse(cluster);
  plainUsersMayAsk(cluster);
  agentsWriteOfTheirOwnNode(cluster);
  latePodsAreJoined(cluster);
  proxiesStartWithoutControl(cluster);
  upstreamBookinfoHolds(cluster);
  uninstallLeavesNothing(cluster, () => before);
});
