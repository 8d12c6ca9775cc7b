/** Profile full: a cluster that has no network at all until Weft brings it. */
import type { Footprint } from "#tools/kubernetes/footprint.ts";
import { agentsWriteOfTheirOwnNode, namesStay, programsAreNobody, proxiesStartWithoutControl } from "./agent-tests.ts";
import { upstreamBookinfoHolds } from "./bookinfo-tests.ts";
import { identityHolds } from "./identity-tests.ts";
import { leaderMayDie, nothingIsWrittenAtRest } from "./control-tests.ts";
import { definitionsRefuse } from "./definition-tests.ts";
import { onKubernetes } from "./on-kubernetes.ts";
import { plainUsersMayAsk } from "./reader-tests.ts";
import { demoHolds, installs, jobEnds, probesOfStrictPods, uninstallLeavesNothing } from "./shared-tests.ts";

onKubernetes("weft as the network, the services, the names and the mesh of Kubernetes", "full", (cluster) => {
  let before: Footprint = new Set();
  installs(cluster, (footprint) => {
    before = footprint;
  });
  demoHolds(cluster);
  nothingIsWrittenAtRest(cluster);
  leaderMayDie(cluster);
  jobEnds(cluster);
  probesOfStrictPods(cluster);
  identityHolds(cluster);
  definitionsRefuse(cluster);
  plainUsersMayAsk(cluster);
  agentsWriteOfTheirOwnNode(cluster);
  programsAreNobody(cluster);
  namesStay(cluster);
  proxiesStartWithoutControl(cluster);
  upstreamBookinfoHolds(cluster);
  uninstallLeavesNothing(cluster, () => before);
});
