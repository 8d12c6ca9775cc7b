/** The control plane on the real machine, with the embedded API server in it: `control.ts --config FILE`. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Admission, startApiServer } from "#apiserver/apiserver.ts";
import { connectApi } from "#client/client.ts";
import { EMBEDDED, injectProxy } from "#compile/inject/inject.ts";
import { warnings } from "#compile/status/status.ts";
import { startControl } from "#control/control.ts";
import { realHost } from "#host/real/real.ts";
import { parseRuntimeConfig } from "#model/config.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { Pod } from "#model/core.ts";
import type { WorldReader } from "#model/world.ts";
import { createLog } from "#run/log.ts";
import { Parts, runProgram } from "#run/program.ts";
import type { Running } from "#run/program.ts";

const { values } = parseArgs({ options: { config: { type: "string" } } });
const host = realHost();
const log = createLog({ program: "control", clock: host.clock, write: (line) => void process.stderr.write(line) });

const inject: Admission = (object, { kind, operation, namespaceObject }) =>
  kind === "Pod" && operation === "CREATE" ? injectProxy(object as Pod, namespaceObject, EMBEDDED).pod : object;

/** What the mesh cannot do with an object is said to whoever applies it, and later on its status. */
const warn: Admission = (object, { warn: say, kind }) => {
  if (stored !== undefined && kind !== "Pod") for (const text of warnings(object, stored)) say(text);
  return object;
};
/** As stored, not as followed: one `kubectl apply` brings a Gateway and, at once, the routes that name it. */
let stored: WorldReader | undefined;

function certificatesOf(config: RuntimeConfig, program: string): { certificate: string; privateKey: string; ca: string } {
  const read = (name: string): string => readFileSync(`${config.runDir}/pki/${program}/${name}`, "utf8");
  return { certificate: read("tls.crt"), privateKey: read("tls.key"), ca: read("ca.crt") };
}

function addressOf(text: string): { ip: string; port: number } {
  const url = new URL(text.includes("://") ? text : `tcp://${text}`);
  return { ip: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) };
}

async function start(config: RuntimeConfig): Promise<Running> {
  const parts = new Parts({ clock: host.clock, log });
  const api = certificatesOf(config, "api");
  const own = certificatesOf(config, "control");
  const address = addressOf(config.apiUrl);
  // /run dies with the cluster: this program may end and come back while nodes and pods go on.
  const startedBefore = `${config.runDir}/api-started`;
  const server = await startApiServer({
    host,
    address,
    tls: { certificate: api.certificate, privateKey: api.privateKey, clientCa: api.ca },
    storagePath: `${config.stateDir}/api.db`,
    admission: [inject, warn],
    // Agents know control by the organization of its own certificate.
    nodeClientTls: own,
    serviceCidr: config.serviceCIDR,
    endpoint: address,
    ...(existsSync(startedBefore) ? {} : { startsWithNodes: config.nodes.map(({ name }) => name) }),
    onBug: (error, what) => log.error("a request failed for a reason of ours", { object: what, error }),
  });
  parts.add("API server", server);
  writeFileSync(startedBefore, "");
  stored = server.world;
  log.info("the API answers", { address: config.apiUrl });
  const mesh = (name: string): string => readFileSync(`${config.stateDir}/pki/mesh-ca.${name}`, "utf8");
  const control = startControl(host, {
    api: connectApi({ host, url: config.apiUrl, tls: own, userAgent: "weft-control", onWarning: (text) => log.debug("the API server warns", { text }) }),
    config,
    log,
    xdsAddress: addressOf(config.xdsAddress),
    tls: { ...own, requireClientCertificate: true },
    clusterCa: own.ca,
    meshRoot: { certificate: mesh("crt"), privateKey: mesh("key") },
  });
  parts.add("control", control);
  await control.ready;
  return parts;
}

await runProgram(process, log, () => start(parseRuntimeConfig(readFileSync(values.config ?? "/run/weft/config.json", "utf8"))));
