/**
 * The mesh's root: a key pair in a Secret that only the control plane may read, and its certificate where agents and the
 * API server find it (a ConfigMap, the webhook's caBundle). The leader makes what is missing; nobody ever replaces a root
 * that is there, and one that is deleted while we run comes back as it was, or the mesh would fall in two.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { newMeshRoot } from "#ca/ca.ts";
import type { KeyPair } from "#ca/ca.ts";
import { isConflict } from "#client/api-error.ts";
import type { ApiClient } from "#client/client.ts";
import { followWorld } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import type { ConfigMap, Secret } from "#model/core.ts";
import { reconcileLoop } from "#run/reconcile.ts";
import type { Log } from "#run/log.ts";

const SECRET = "weft-ca";
const CONFIG_MAP = "weft-root";
const ROOT_FILE = "root-cert.pem";
const WORK = "mesh root";

export interface MeshRootOptions {
  readonly api: ApiClient;
  readonly log: Log;
  readonly namespace: string;
}

export interface MeshRoot {
  /** Resolves when the Secret is there and was read. */
  readonly ready: Promise<KeyPair>;
  /** From now on this replica makes what is missing; false: no more. */
  lead(leads: boolean): void;
  stop(): Promise<void>;
}

export function keepMeshRoot(host: Pick<Host, "clock" | "random">, { api, log, namespace }: MeshRootOptions): MeshRoot {
  const { promise: ready, resolve: loaded } = Promise.withResolvers<KeyPair>();
  let root: KeyPair | undefined;
  let leads = false;
  let warnedOf = "";
  const named = (name: string) => ({ namespace, fieldSelector: `metadata.name=${name}` });
  const followed = followWorld(api, ["Secret", "ConfigMap"], {
    host,
    only: { Secret: named(SECRET), ConfigMap: named(CONFIG_MAP) },
    changed: () => loop.add(WORK),
    onTrouble: (kind, error, isNew) => log[isNew ? "warn" : "debug"]("cannot follow the mesh's root and will try again", { object: kind, error }),
  });
  let heard = false;
  void followed.ready.then(() => {
    heard = true;
    loop.add(WORK);
  });

  const readSecret = (secret: Secret): void => {
    const pair = pairIn(secret);
    if (root === undefined) {
      root = pair;
      loaded(pair);
    } else if (pair.certificate !== root.certificate && warnedOf !== pair.certificate) {
      warnedOf = pair.certificate;
      log.error("the mesh's root was replaced; this program goes on with the one it began with until it is started again", {
        object: `Secret ${namespace}/${SECRET}`,
      });
    }
  };
  const makeSecret = async (): Promise<void> => {
    const pair = root ?? (await newMeshRoot(host));
    const data = { "tls.crt": Buffer.from(pair.certificate).toString("base64"), "tls.key": Buffer.from(pair.privateKey).toString("base64") };
    try {
      await api.create("Secret", { apiVersion: "v1", kind: "Secret", metadata: { name: SECRET, namespace }, type: "kubernetes.io/tls", data });
    } catch (error) {
      // Another leader of a moment ago was faster: its root is the mesh's.
      if (!isConflict(error)) throw error;
      return;
    }
    log.info(root === undefined ? "made the mesh's root" : "put the mesh's root back", { object: `Secret ${namespace}/${SECRET}` });
    root ??= pair;
    loaded(root);
  };
  const publish = async (pair: KeyPair): Promise<void> => {
    const map = followed.world.ConfigMap?.get(`${namespace}/${CONFIG_MAP}`);
    const data = { [ROOT_FILE]: pair.certificate };
    if (map === undefined) {
      const made: ConfigMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: CONFIG_MAP, namespace }, data };
      await api.create("ConfigMap", made).catch((error: unknown) => {
        if (!isConflict(error)) throw error;
      });
    } else if (map.data?.[ROOT_FILE] !== pair.certificate) await api.patch("ConfigMap", { name: CONFIG_MAP, namespace }, { data });
  };
  const loop = reconcileLoop({
    name: WORK,
    host,
    log,
    async reconcile() {
      if (!heard) return;
      const secret = followed.world.Secret?.get(`${namespace}/${SECRET}`);
      if (secret !== undefined) readSecret(secret);
      else if (leads) await makeSecret();
      if (leads && root !== undefined) await publish(root);
    },
  });
  return {
    ready,
    lead(now) {
      leads = now;
      if (now) loop.add(WORK);
    },
    async stop() {
      followed.stop();
      await loop.stop();
    },
  };
}

/** Throws an Error that says what is wrong with the Secret. */
function pairIn({ metadata, data = {} }: Secret): KeyPair {
  const wrong = (what: string): Error =>
    new Error(
      `Secret ${metadata.namespace ?? ""}/${metadata.name} ${what}; delete it to have a new root made (workloads then need new certificates), or put a root there`,
    );
  const text = (name: string): string => Buffer.from(data[name] ?? "", "base64").toString();
  const [certificate, privateKey] = [text("tls.crt"), text("tls.key")];
  let root: X509Certificate;
  try {
    root = new X509Certificate(certificate);
  } catch {
    throw wrong('data["tls.crt"] is not a certificate in PEM');
  }
  if (!root.ca) throw wrong('data["tls.crt"] is not a certificate of an authority');
  try {
    if (!root.checkPrivateKey(createPrivateKey(privateKey))) throw wrong('data["tls.key"] is not the key of data["tls.crt"]');
  } catch (error) {
    throw error instanceof Error && error.message.startsWith("Secret") ? error : wrong('data["tls.key"] is not a private key in PEM');
  }
  return { certificate, privateKey };
}
