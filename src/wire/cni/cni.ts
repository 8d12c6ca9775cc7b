/**
 * The Container Network Interface, version 1.1.0, without processes: what a plugin is asked (environment and stdin) as a
 * value, and results and errors as it must print them. Versions from 0.3.0 on have the same form for what we answer.
 */
export const CNI_VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type CniCommand = "ADD" | "DEL" | "CHECK" | "STATUS" | "GC" | "VERSION";

export interface CniRequest {
  readonly command: CniCommand;
  readonly cniVersion: string;
  readonly network: string;
  readonly containerId: string;
  readonly netns: string;
  readonly interface: string;
  /** CNI_ARGS: "K8S_POD_NAMESPACE" and so on. */
  readonly args: Readonly<Record<string, string>>;
  /** Where the agent listens. */
  readonly socket: string;
  /** GC: attachments that are still in use, by container id. */
  readonly validContainerIds: readonly string[];
  /** Chained: the result of the plugins before us. */
  readonly prevResult?: PassedResult;
}

/** Of another plugin, in the form of the configuration's version. */
export type PassedResult = Readonly<Record<string, unknown>>;

export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly mtu?: number; readonly sandbox?: string }[];
  readonly ips: readonly { readonly address: string; readonly gateway: string; readonly interface: number }[];
  readonly routes: readonly { readonly dst: string; readonly gw: string }[];
  readonly dns: { readonly nameservers: readonly string[]; readonly domain: string; readonly search: readonly string[]; readonly options: readonly string[] };
}

/** Codes of the specification, "Error"; from 100 on they are the plugin's own. */
export const CNI_ERRORS = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  tryLater: 11,
  notAvailable: 50,
  agent: 100,
} as const;

export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;
  readonly details: string;
  constructor(code: number, message: string, details = "") {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** What the plugin prints when it fails. */
export function errorText(error: unknown, cniVersion = "1.1.0"): string {
  const known = error instanceof CniError ? error : new CniError(CNI_ERRORS.agent, error instanceof Error ? error.message : String(error));
  return JSON.stringify({ cniVersion, code: known.code, msg: known.message, details: known.details });
}

export function versionText(): string {
  return JSON.stringify({ cniVersion: "1.1.0", supportedVersions: CNI_VERSIONS });
}

const COMMANDS: readonly string[] = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"];
/** Which variables a command must have, beside CNI_COMMAND. */
const NEEDED: Readonly<Record<CniCommand, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  STATUS: [],
  GC: [],
  VERSION: [],
};

/** Throws CniError with the specification's code. */
export function readRequest(env: Readonly<Record<string, string | undefined>>, stdin: string): CniRequest {
  const command = env["CNI_COMMAND"];
  if (command === undefined || !isCommand(command))
    throw new CniError(CNI_ERRORS.invalidEnvironment, `CNI_COMMAND: value "${command ?? ""}" is not one of ${COMMANDS.join(", ")}`);
  const missing = NEEDED[command].filter((name) => (env[name] ?? "") === "");
  if (missing.length > 0) throw new CniError(CNI_ERRORS.invalidEnvironment, `${command} needs ${missing.join(", ")} in the environment`);
  const config = parseConfig(stdin);
  const cniVersion = typeof config["cniVersion"] === "string" ? config["cniVersion"] : "1.1.0";
  if (command !== "VERSION" && !CNI_VERSIONS.some((version) => version === cniVersion)) {
    throw new CniError(CNI_ERRORS.incompatibleVersion, `cniVersion: value "${cniVersion}" is not supported; use one of ${CNI_VERSIONS.join(", ")}`);
  }
  const socket = config["socket"];
  if (command !== "VERSION" && (typeof socket !== "string" || socket === ""))
    throw new CniError(CNI_ERRORS.invalidConfig, "socket: missing; give the path of the agent's cni.sock");
  return {
    command,
    cniVersion,
    network: typeof config["name"] === "string" ? config["name"] : "",
    containerId: env["CNI_CONTAINERID"] ?? "",
    netns: env["CNI_NETNS"] ?? "",
    interface: env["CNI_IFNAME"] ?? "",
    args: parseArgs(env["CNI_ARGS"] ?? ""),
    socket: typeof socket === "string" ? socket : "",
    validContainerIds: validAttachments(config["cni.dev/valid-attachments"]),
    ...(isRecord(config["prevResult"]) ? { prevResult: config["prevResult"] } : {}),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The first address of a result, without its prefix. */
export function addressOfResult(result: PassedResult): string | undefined {
  const ips: unknown = result["ips"];
  const first: unknown = Array.isArray(ips) ? ips[0] : undefined;
  const address = isRecord(first) ? first["address"] : undefined;
  return typeof address === "string" ? address.split("/")[0] : undefined;
}

function isCommand(text: string): text is CniCommand {
  return COMMANDS.includes(text);
}

function parseConfig(stdin: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(stdin === "" ? "{}" : stdin);
    if (isRecord(value)) return value;
  } catch (error) {
    throw new CniError(CNI_ERRORS.decoding, "the network configuration on stdin is not JSON", error instanceof Error ? error.message : "");
  }
  throw new CniError(CNI_ERRORS.decoding, "the network configuration on stdin is not an object");
}

function parseArgs(text: string): Record<string, string> {
  const pairs = text.split(";").flatMap((pair): [string, string][] => {
    const equals = pair.indexOf("=");
    return equals > 0 ? [[pair.slice(0, equals), pair.slice(equals + 1)]] : [];
  });
  return Object.fromEntries(pairs);
}

function validAttachments(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each: unknown) => {
    const id = typeof each === "object" && each !== null ? (each as { containerID?: unknown }).containerID : undefined;
    return typeof id === "string" ? [id] : [];
  });
}

/** What goes over the socket: one line each way. */
export interface CniReply {
  /** What the plugin prints; "" for commands without a result. */
  readonly result?: CniResult | { readonly passed: PassedResult };
  readonly error?: { readonly code: number; readonly message: string; readonly details: string };
}

/** Results of before 1.0.0 tell the family of each address. */
export function resultText(result: NonNullable<CniReply["result"]>, cniVersion: string): string {
  if ("passed" in result) return JSON.stringify({ ...result.passed, cniVersion });
  if (!cniVersion.startsWith("0.")) return JSON.stringify({ ...result, cniVersion });
  const ips = result.ips.map((each) => ({ ...each, version: each.address.includes(":") ? "6" : "4" }));
  return JSON.stringify({ ...result, ips, cniVersion });
}
