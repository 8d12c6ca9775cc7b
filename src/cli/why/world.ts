/** The World that `weft why` asks: of a running cluster, or of manifests alone. */
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { connectApi } from "#client/client.ts";
import type { Host } from "#host/host.ts";
import { KINDS, type KindId } from "#model/kinds.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { World } from "#model/world.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { openRunningCluster } from "#cli/running-cluster.ts";

const kinds: readonly KindId[] = [
  "Namespace",
  "Node",
  "Pod",
  "Service",
  "EndpointSlice",
  "NetworkPolicy",
  "VirtualService",
  "DestinationRule",
  "IstioGateway",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "GatewayClass",
  "Gateway",
  "HTTPRoute",
  "ReferenceGrant",
];

export async function worldOfCluster(context: CliContext, name: string): Promise<World> {
  const { access } = await openRunningCluster(context, name);
  const { url, ...tls } = access;
  const api = connectApi({ host: context.host, url, tls });
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const { items } = await api.list(kind);
      return [kind, new Map((items as readonly KubeObject[]).map((object) => [objectKey(object), { ...object, ...typeOf(kind) }]))] as const;
    }),
  );
  return Object.fromEntries(lists) as World;
}

/** Items of a list do not always say what they are. */
function typeOf(kind: KindId): Pick<KubeObject, "apiVersion" | "kind"> {
  const { group, versions, kind: name } = KINDS[kind];
  const version = versions[0] ?? "v1";
  return { apiVersion: group === "" ? version : `${group}/${version}`, kind: name };
}

export async function worldOfFiles(host: Pick<Host, "files">, paths: readonly string[]): Promise<World> {
  const files = (await Promise.all(paths.map((path) => manifestFiles(host, path)))).flat();
  if (files.length === 0) throw new CliError(`${paths.join(", ")}: no manifests there (.yaml, .yml, .json)`);
  const objects: KubeObject[] = [];
  const problems: string[] = [];
  for (const file of files) {
    const admitted = admitManifests(parseManifests(file, await host.files.readText(file)));
    objects.push(...admitted.objects);
    problems.push(...admitted.problems.map(({ line, message }) => `${file}:${line}: ${message}`));
  }
  if (problems.length > 0) throw new CliError(`the manifests are not as they should be:\n      ${problems.join("\n      ")}`);
  return imagineWorld(objects);
}

async function manifestFiles({ files }: Pick<Host, "files">, path: string): Promise<readonly string[]> {
  const facts = await files.stat(path);
  if (facts === undefined) throw new CliError(`${path}: no such file or folder`);
  if (facts.kind !== "directory") return [path];
  return (await files.list(path)).filter((name) => /\.(ya?ml|json)$/.test(name)).map((name) => `${path}/${name}`);
}
