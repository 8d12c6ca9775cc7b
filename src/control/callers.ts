/**
 * Who is calling on 15012, and for which pod it may speak. A caller proves that it is the agent of a node, by its certificate
 * in the embedded cluster (`nodeOfCertificate`), by its service account's token on Kubernetes (kubernetes/node-tokens.ts).
 * The call's metadata names a pod, and the World must say that this very pod is bound to that node. Nothing else that the
 * caller sends is looked at.
 */
import { X509Certificate } from "node:crypto";
import type { RpcServerCall } from "#host/rpc.ts";
import type { Pod } from "#model/core.ts";
import type { WorldReader } from "#model/world.ts";
import { isFinished } from "./pod-facts.ts";

/** Of the call's metadata: "namespace/name/uid". */
const POD = "weft-pod";
const NODE_USER = "system:node:";

export type Caller = { readonly pod: Pod } | { readonly refused: string };

export type NodeAnswer = { readonly node: string } | { readonly refused: string };

export function nodeOfCertificate(call: Pick<RpcServerCall, "peer">): NodeAnswer {
  if (call.peer.certificate === undefined) return { refused: "no client certificate; agents call with their node's" };
  const commonName = /(?:^|\n)CN=([^\n]*)/.exec(new X509Certificate(call.peer.certificate).subject)?.[1] ?? "";
  if (!commonName.startsWith(NODE_USER)) return { refused: `the client certificate is for "${commonName}", not for a node (${NODE_USER}NAME)` };
  return { node: commonName.slice(NODE_USER.length) };
}

export function callerOf(world: WorldReader, call: Pick<RpcServerCall, "metadata">, from: NodeAnswer): Caller {
  if ("refused" in from) return from;
  const { node } = from;
  const claimed = call.metadata[POD];
  const [namespace, name, uid, ...rest] = claimed?.split("/") ?? [];
  if (namespace === undefined || name === undefined || uid === undefined || rest.length > 0) {
    return { refused: `call metadata ${POD} is ${JSON.stringify(claimed)}; it must be "namespace/name/uid"` };
  }
  const pod = world.get("Pod", `${namespace}/${name}`);
  if (pod === undefined || pod.metadata.uid !== uid) return { refused: `there is no Pod ${namespace}/${name} with uid ${uid}` };
  if (pod.spec.nodeName !== node) return { refused: `Pod ${namespace}/${name} is not bound to node ${node}` };
  if (isFinished(pod)) return { refused: `Pod ${namespace}/${name} has ended` };
  return { pod };
}
