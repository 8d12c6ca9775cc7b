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
import type { FollowedWorld } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import type { ConfigMap, Secret } from "#model/core.ts";
import { reconcileLoop } from "#run/reconcile.ts";
import type { ReconcileLoop } from "#run/reconcile.ts";
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

export function keepMeshRoot(host: Pick<Host, "clock" | "random">, options: MeshRootOptions): MeshRoot {
  return new Keeper(host, options);
}

class Keeper implements MeshRoot {
  readonly ready: Promise<KeyPair>;
  readonly #host: Pick<Host, "clock" | "random">;
  readonly #options: MeshRootOptions;
  readonly #followed: FollowedWorld;
  readonly #loop: ReconcileLoop;
  readonly #loaded: (pair: KeyPair) => void;
  #root: KeyPair | undefined;
  #leads = false;
  /** It is known whether the Secret is there. */
  #hasHeard = false;
  /** Another root, that was told of. */
  #replacedBy = "";

  constructor(host: Pick<Host, "clock" | "random">, options: MeshRootOptions) {
    const { api, log, namespace } = options;
    this.#host = host;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<KeyPair>();
    this.ready = promise;
    this.#loaded = resolve;
    this.#loop = reconcileLoop({ name: WORK, host, log, reconcile: () => this.#reconcile() });
    const named = (name: string) => ({ namespace, fieldSelector: `metadata.name=${name}` });
    this.#followed = followWorld(api, ["Secret", "ConfigMap"], {
      host,
      only: { Secret: named(SECRET), ConfigMap: named(CONFIG_MAP) },
      changed: () => {
        this.#hasHeard = true;
        this.#loop.add(WORK);
      },
      onTrouble: (kind, error, isNew) => log[isNew ? "warn" : "debug"]("cannot follow the mesh's root and will try again", { object: kind, error }),
    });
  }

  lead(leads: boolean): void {
    this.#leads = leads;
    if (leads) this.#loop.add(WORK);
  }

  async stop(): Promise<void> {
    this.#followed.stop();
    await this.#loop.stop();
  }

  async #reconcile(): Promise<void> {
    if (!this.#hasHeard) return;
    const secret = this.#followed.world.Secret?.get(`${this.#options.namespace}/${SECRET}`);
    if (secret !== undefined) this.#read(secret);
    else if (this.#leads) await this.#make();
    if (this.#leads && this.#root !== undefined) await this.#publish(this.#root);
  }

  #read(secret: Secret): void {
    const { log, namespace } = this.#options;
    const pair = pairIn(secret);
    if (this.#root === undefined) {
      this.#root = pair;
      this.#loaded(pair);
    } else if (pair.certificate !== this.#root.certificate && this.#replacedBy !== pair.certificate) {
      this.#replacedBy = pair.certificate;
      log.error("the mesh's root was replaced; this program goes on with the one it began with until it is started again", {
        object: `Secret ${namespace}/${SECRET}`,
      });
    }
  }

  /** Without labels of the installation, which removes what bears them and is not its own. */
  async #make(): Promise<void> {
    const { api, log, namespace } = this.#options;
    const pair = this.#root ?? (await newMeshRoot(this.#host));
    const data = { "tls.crt": Buffer.from(pair.certificate).toString("base64"), "tls.key": Buffer.from(pair.privateKey).toString("base64") };
    try {
      await api.create("Secret", { apiVersion: "v1", kind: "Secret", metadata: { name: SECRET, namespace }, type: "kubernetes.io/tls", data });
    } catch (error) {
      // Another leader of a moment ago was faster: its root is the mesh's.
      if (!isConflict(error)) throw error;
      return;
    }
    log.info(this.#root === undefined ? "made the mesh's root" : "put the mesh's root back", { object: `Secret ${namespace}/${SECRET}` });
    this.#root ??= pair;
    this.#loaded(this.#root);
  }

  async #publish({ certificate }: KeyPair): Promise<void> {
    const { api, namespace } = this.#options;
    const map = this.#followed.world.ConfigMap?.get(`${namespace}/${CONFIG_MAP}`);
    const data = { [ROOT_FILE]: certificate };
    if (map === undefined) {
      const made: ConfigMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: CONFIG_MAP, namespace }, data };
      await api.create("ConfigMap", made).catch((error: unknown) => {
        if (!isConflict(error)) throw error;
      });
    } else if (map.data?.[ROOT_FILE] !== certificate) await api.patch("ConfigMap", { name: CONFIG_MAP, namespace }, { data });
  }
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
