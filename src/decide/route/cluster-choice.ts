/** Which cluster a route sends to: one, one of several by weight, or the one a header names. */
import type { RouteAction, WeightedCluster } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileHeaderReader } from "#decide/match/header-match.ts";
import type { RequestView } from "#decide/request-view.ts";

export interface ClusterChoice {
  /** Clusters in order with the share of each in [0, 1]: what `weft why` prints for an imagined request. Empty: a header names it. */
  readonly shares: readonly { readonly cluster: string; readonly share: number }[];
  /** Index into `shares`; `random` in [0, 1). */
  choose(random: number): number;
  /** For `cluster_header`. */
  named(request: RequestView): string | undefined;
}

export function compileClusterChoice(action: RouteAction, path: string): ClusterChoice {
  const specifier = action.clusterSpecifier;
  switch (specifier.case) {
    case "cluster":
      return { shares: [{ cluster: specifier.value, share: 1 }], choose: () => 0, named: () => undefined };
    case "clusterHeader":
      return { shares: [], choose: () => -1, named: compileHeaderReader(specifier.value) };
    case "weightedClusters":
      return weighted(specifier.value, `${path}.weighted_clusters`);
    case "clusterSpecifierPlugin":
      throw new ConfigProblem(`${path}.cluster_specifier_plugin`, NOT_SUPPORTED);
    case "inlineClusterSpecifierPlugin":
      throw new ConfigProblem(`${path}.inline_cluster_specifier_plugin`, NOT_SUPPORTED);
    case undefined:
      throw new ConfigProblem(path, "has no cluster; give one of cluster, weighted_clusters, cluster_header");
  }
}

function weighted(config: WeightedCluster, path: string): ClusterChoice {
  if (config.randomValueSpecifier.case !== undefined) throw new ConfigProblem(`${path}.header_name`, NOT_SUPPORTED);
  const weights = config.clusters.map((cluster) => cluster.weight ?? 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) throw new ConfigProblem(path, "the weights add up to 0; give at least one cluster a weight");
  const shares = config.clusters.map((cluster, i) => {
    if (cluster.name === "") throw new ConfigProblem(`${path}.clusters[${i}].cluster_header`, NOT_SUPPORTED);
    return { cluster: cluster.name, share: (weights[i] ?? 0) / total };
  });
  const choose = (random: number): number => {
    let left = Math.floor(random * total);
    for (let i = 0; i < weights.length; i++) {
      left -= weights[i] ?? 0;
      if (left < 0) return i;
    }
    return weights.length - 1;
  };
  return { shares, choose, named: () => undefined };
}
