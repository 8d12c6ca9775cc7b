/** All that a product can leave behind: objects of the cluster, and links, addresses, routes, rules, settings and files of its nodes. */
import type { KubernetesCluster } from "./cluster.ts";

/** A line each: "object weft-system deployment.apps/weft-control", "n1 link vxlan0". */
export type Footprint = ReadonlySet<string>;

/** These come and go by themselves. */
const RESTLESS = /^(events|events\.events\.k8s\.io|leases\.coordination\.k8s\.io|componentstatuses|bindings|ipaddresses\.networking\.k8s\.io)$/;

export async function footprintOf(cluster: KubernetesCluster): Promise<Footprint> {
  const lines = [...(await objectsOf(cluster)), ...(await conditionsOf(cluster))];
  for (const node of cluster.nodes?.names ?? []) lines.push(...(await machineOf(cluster, node)));
  return new Set(lines);
}

/** What is there now and was not before. */
export function addedSince(before: Footprint, now: Footprint): readonly string[] {
  return [...now].filter((line) => !before.has(line)).toSorted((a, b) => (a < b ? -1 : 1));
}

async function objectsOf(cluster: KubernetesCluster): Promise<string[]> {
  const kinds = (await cluster.get("api-resources", "--verbs=list", "-o", "name")).trim().split("\n");
  const objects = await cluster.get(
    "get",
    kinds.filter((kind) => !RESTLESS.test(kind)).join(","),
    "-A",
    "--ignore-not-found",
    "--show-kind",
    "-o",
    OBJECT_COLUMNS,
    "--no-headers",
  );
  return objects
    .trim()
    .split("\n")
    .map((line) => `object ${line.replaceAll(/\s+/g, " ").trim()}`);
}

/** What is said of nodes. */
async function conditionsOf(cluster: KubernetesCluster): Promise<string[]> {
  const conditions = await cluster.get(
    "get",
    "nodes",
    "-o",
    'jsonpath={range .items[*]}{.metadata.name}{range .status.conditions[*]} {.type}{end}{"\\n"}{end}',
  );
  return conditions.split("\n").flatMap((line) => {
    const [node = "", ...types] = line.trim().split(" ");
    return types.map((type) => `${node} condition ${type}`);
  });
}

const OBJECT_COLUMNS = "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";

/** Each command prints a line a thing; counters, handles and indexes are left out, because they differ when nothing does. */
const INVENTORY: Readonly<Record<string, string>> = {
  link: "ip -o link show | sed 's/^[0-9]*: //; s/@.*//; s/:.*//'",
  address: "ip -o -4 address show | awk '{print $2, $4}'",
  route: "ip -4 route show table all | sed 's/ *$//'",
  rule: "ip -4 rule show",
  neighbour: "ip neighbour show nud permanent",
  nft: `for table in $(nft list tables | sed 's/^table //; s/ /,/'); do
    set -- $(echo $table | tr , ' '); echo "table $table"; [ $2 = kube-proxy ] || nft -s list table $1 $2 | sed 's/^[[:space:]]*//'
  done`,
  file: "find /etc/cni /opt/cni -mindepth 1 2>/dev/null; find /run/weft /etc/weft 2>/dev/null",
  setting: "sysctl -a 2>/dev/null | grep -E '^net[.]ipv[46][.](ip_forward|conf[.](all|default|lo|eth0)[.])'",
  socket: "ss -Hlxn | awk '{print $5}' | grep -i weft",
};

/** The bridge plugin makes its bridge with the first pod of a node, and leaves it there. */
const FOREIGN = /\bcni0\b/;

async function machineOf(cluster: KubernetesCluster, node: string): Promise<string[]> {
  const lines: string[] = [];
  for (const [what, script] of Object.entries(INVENTORY)) {
    const { stdout } = (await cluster.nodes?.run(node, "sh", "-c", script)) ?? { stdout: "" };
    for (const line of stdout.split("\n").filter((text) => text !== "" && !FOREIGN.test(text))) lines.push(`${node} ${what} ${line}`);
  }
  return lines;
}
