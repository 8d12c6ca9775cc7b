/**
 * A pod's X.509-SVID as Envoy secrets: `default` (certificate and key) and `ROOTCA` (what to trust). The key is made here
 * and goes only to the pod's own proxy; control gets the request. Renewed at half of its life; while control is away the
 * last one serves until it ends.
 */
import { X509Certificate } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Host } from "#host/host.ts";
import type { Timer } from "#host/clock.ts";
import { RPC_STATUS } from "#host/rpc.ts";
import type { RpcChannel, RpcStatus } from "#host/rpc.ts";
import type { EncodedResource } from "#model/plan/proxy-plan.ts";
import type { Log } from "#run/log.ts";
import { SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#wire/envoy/gen/istio/v1/auth/ca_pb.ts";
import { newKeyAndRequest } from "./certificate-request.ts";
import type { SavedIdentity } from "./last-state.ts";

const CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const LIFETIME_SECONDS = 12n * 3600n;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 10_000;
/** Not all pods of a node at once. */
const RESUMED_WITHIN_MS = 60_000;

export interface IdentityOptions {
  readonly channel: RpcChannel;
  readonly pod: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly log: Log;
  readonly changed: () => void;
  /** Of a former agent; not used when it has ended. */
  readonly former?: SavedIdentity | undefined;
}

export class Identity {
  readonly #host: Pick<Host, "clock" | "random">;
  readonly #options: IdentityOptions;
  #saved: SavedIdentity | undefined;
  #secrets: ReadonlyMap<string, EncodedResource> | undefined;
  #timer: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #stopped = false;
  /** When the certificate in use ends; undefined before the first. */
  expiresAtMs: number | undefined;

  constructor(host: Pick<Host, "clock" | "random">, options: IdentityOptions) {
    this.#host = host;
    this.#options = options;
    if (!this.#resume(options.former)) this.#renew();
  }

  /** As it was signed; undefined until the first certificate came. */
  get saved(): SavedIdentity | undefined {
    return this.#saved;
  }

  /** undefined until the first certificate came: a proxy that asks waits. */
  get secrets(): ReadonlyMap<string, EncodedResource> | undefined {
    return this.#secrets;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Serves what a former agent was given. It is renewed soon all the same: meanwhile the root may have been replaced. */
  #resume(former: SavedIdentity | undefined): boolean {
    const [leaf] = former?.chain ?? [];
    if (former === undefined || leaf === undefined || new X509Certificate(leaf).validToDate.getTime() <= this.#host.clock.now()) return false;
    this.#serve(former);
    this.#timer = this.#host.clock.after(this.#host.random.next() * RESUMED_WITHIN_MS, () => this.#renew()).unref();
    return true;
  }

  #renew(): void {
    const { channel, pod, namespace, serviceAccount } = this.#options;
    const { privateKey, request } = newKeyAndRequest(`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`);
    let chain: readonly string[] = [];
    const call = channel.call(
      CREATE_CERTIFICATE,
      { "weft-pod": pod },
      {
        onMessage: (message) => void (chain = fromBinary(IstioCertificateResponseSchema, message).certChain),
        onClose: (status) => {
          if (this.#stopped) return;
          if (status.code === RPC_STATUS.ok && chain.length >= 2) this.#use(chain, privateKey);
          else this.#retry(status);
        },
      },
    );
    call.send(toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, { csr: request, validityDuration: LIFETIME_SECONDS })));
    call.end();
  }

  #use(chain: readonly string[], privateKey: string): void {
    const expiresAtMs = this.#serve({ chain, privateKey });
    this.#retryMs = FIRST_RETRY_MS;
    this.#timer = this.#host.clock.after(Math.max(1_000, (expiresAtMs - this.#host.clock.now()) / 2), () => this.#renew()).unref();
    this.#options.changed();
  }

  /** Answers when it ends. */
  #serve(saved: SavedIdentity): number {
    const { chain, privateKey } = saved;
    const leaf = new X509Certificate(chain[0] ?? "");
    const root = chain.at(-1) ?? "";
    this.#saved = saved;
    this.expiresAtMs = leaf.validToDate.getTime();
    this.#secrets = new Map(
      [
        encode("default", leaf.fingerprint256, {
          case: "tlsCertificate",
          // The root is what others must have; only the leaf is shown.
          value: { certificateChain: inline(chain.slice(0, -1).join("")), privateKey: inline(privateKey) },
        }),
        encode("ROOTCA", new X509Certificate(root).fingerprint256, { case: "validationContext", value: { trustedCa: inline(root) } }),
      ].map((secret) => [secret.name, secret]),
    );
    return this.expiresAtMs;
  }

  #retry(status: RpcStatus): void {
    const delayMs = this.#retryMs * (0.5 + this.#host.random.next() / 2);
    this.#options.log.warn("got no certificate and will ask again", {
      object: `Pod ${this.#options.pod}`,
      status: status.code,
      message: status.message,
      againMs: Math.round(delayMs),
    });
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
    this.#timer = this.#host.clock.after(delayMs, () => this.#renew()).unref();
  }
}

function inline(text: string) {
  return { specifier: { case: "inlineBytes" as const, value: new Uint8Array(Buffer.from(text)) } };
}

type SecretType =
  | { case: "tlsCertificate"; value: { certificateChain: ReturnType<typeof inline>; privateKey: ReturnType<typeof inline> } }
  | { case: "validationContext"; value: { trustedCa: ReturnType<typeof inline> } };

function encode(name: string, version: string, type: SecretType): EncodedResource {
  return { name, version, bytes: toBinary(SecretSchema, create(SecretSchema, { name, type })) };
}
