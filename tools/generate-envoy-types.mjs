/**
 * Makes the TypeScript types of Envoy's protobuf API (src/wire/envoy/gen, not committed: other people's protocols).
 *
 * The .proto files come from @grpc/grpc-js-xds, which ships Envoy's tree; our own are in src/wire/proto. Only the
 * files listed in ROOTS and what they import are generated. Runs from npm's `prepare`; does nothing when the result is
 * up to date (a stamp holds the hash of everything that decides it), and says what is missing, without failing, when
 * the development dependencies were left out.
 *
 * Plain JavaScript, because it runs before anything else can.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const output = join(root, "src/wire/envoy/gen");
const ownProtos = join(root, "src/wire/proto");
const modules = join(root, "node_modules");
const shipped = join(modules, "@grpc/grpc-js-xds/deps");
const searchPath = [ownProtos, ...["envoy-api", "googleapis", "xds", "protoc-gen-validate"].map((folder) => join(shipped, folder))];
const generatorPackages = ["@grpc/grpc-js-xds", "@bufbuild/buf", "@bufbuild/protoc-gen-es"];

/** Files, or folders taken whole (without their sub-folders). */
const ROOTS = [
  "envoy/admin/v3",
  "envoy/config/accesslog/v3",
  "envoy/config/bootstrap/v3",
  "envoy/config/cluster/v3",
  "envoy/config/core/v3",
  "envoy/config/endpoint/v3",
  "envoy/config/listener/v3",
  "envoy/config/rbac/v3",
  "envoy/config/route/v3",
  "envoy/data/accesslog/v3",
  ...["cluster", "discovery", "endpoint", "listener", "route", "secret", "status"].map((service) => `envoy/service/${service}/v3`),
  "envoy/service/auth/v3",
  ...["file", "stream"].map((logger) => `envoy/extensions/access_loggers/${logger}/v3`),
  ...[
    ...["buffer", "cors", "ext_authz", "fault", "grpc_stats", "header_mutation", "health_check", "jwt_authn", "local_ratelimit", "rbac", "router"].map(
      (filter) => `http/${filter}`,
    ),
    ...["connection_limit", "direct_response", "http_connection_manager", "rbac", "sni_cluster", "tcp_proxy"].map((filter) => `network/${filter}`),
    ...["http_inspector", "original_dst", "proxy_protocol", "tls_inspector"].map((filter) => `listener/${filter}`),
  ].map((filter) => `envoy/extensions/filters/${filter}/v3`),
  ...["cluster_provided", "common", "least_request", "maglev", "random", "ring_hash", "round_robin", "wrr_locality"].map(
    (policy) => `envoy/extensions/load_balancing_policies/${policy}/v3`,
  ),
  ...["raw_buffer", "tls"].map((socket) => `envoy/extensions/transport_sockets/${socket}/v3`),
  "envoy/extensions/upstreams/http/v3",
  "envoy/extensions/matching/common_inputs/network/v3",
  "envoy/extensions/matching/common_inputs/ssl/v3",
  "envoy/type/matcher/v3",
  "envoy/type/v3",
  "google/rpc",
  "xds/core/v3",
  "xds/type/matcher/v3",
  "xds/type/v3",
  "istio/v1/auth",
];

/** The shipped validate.proto is older than the files that use it: these messages lack the option `ignore_empty`. */
const IGNORE_EMPTY_NUMBER = { StringRules: 26, BytesRules: 14, RepeatedRules: 5, MapRules: 6 };
const NUMERIC_IGNORE_EMPTY_NUMBER = 8;

main();

function main() {
  const missing = generatorPackages.filter((name) => !existsSync(join(modules, name)));
  if (missing.length > 0) {
    if (!existsSync(output)) console.error(`weft: Envoy's types are not generated, because ${missing.join(", ")} is not installed; run: npm ci --include=dev`);
    return;
  }
  const stamp = contentStamp();
  const stampFile = join(output, ".stamp");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  mkdirSync(join(root, ".cache"), { recursive: true });
  const work = mkdtempSync(join(root, ".cache/envoy-types-"));
  try {
    const files = gatherProtos(join(work, "proto"));
    runBuf(work);
    useOwnFileDesc(join(work, "gen"));
    writeFileSync(join(work, "gen/registry.ts"), registrySource(files));
    writeFileSync(join(work, "gen/.stamp"), stamp);
    rmSync(output, { recursive: true, force: true });
    mkdirSync(dirname(output), { recursive: true });
    renameSync(join(work, "gen"), output);
    console.error(`weft: generated Envoy's types, ${files.length} files, into ${relative(root, output)}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Hash of all that decides the output: this program, our protos, the packages' versions. */
function contentStamp() {
  const hash = createHash("sha256").update(readFileSync(fileURLToPath(import.meta.url)));
  for (const file of protosBelow(ownProtos)) hash.update(file).update(readFileSync(join(ownProtos, file)));
  for (const name of [...generatorPackages, "@bufbuild/protobuf"]) hash.update(readFileSync(join(modules, name, "package.json")));
  return hash.digest("hex");
}

function protosBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith(".proto"))
    .sort();
}

/** Copies the roots and everything they import into one folder; returns the names of what was copied. */
function gatherProtos(target) {
  const queue = ROOTS.flatMap((name) => {
    const folder = findProto(name);
    return readdirSync(folder)
      .filter((file) => file.endsWith(".proto"))
      .map((file) => `${name}/${file}`);
  });
  const seen = new Set();
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (seen.has(name) || name.startsWith("google/protobuf/")) continue;
    seen.add(name);
    const source = findProto(name);
    const text = readFileSync(source, "utf8");
    mkdirSync(dirname(join(target, name)), { recursive: true });
    if (name === "validate/validate.proto") writeFileSync(join(target, name), withIgnoreEmpty(text));
    else cpSync(source, join(target, name));
    for (const [, imported] of text.matchAll(/^import (?:public |weak )?"([^"]+)";/gm)) queue.push(imported);
  }
  return [...seen].map(String).sort();
}

function findProto(name) {
  for (const folder of searchPath) if (existsSync(join(folder, name)) && statSync(join(folder, name))) return join(folder, name);
  throw new Error(
    `${name} is in none of ${searchPath.map((folder) => relative(root, folder)).join(", ")}; take it out of ROOTS in tools/generate-envoy-types.mjs`,
  );
}

function withIgnoreEmpty(text) {
  return text.replaceAll(/^message (\w+Rules) \{$/gm, (head, message) => {
    const number = IGNORE_EMPTY_NUMBER[message] ?? (/^(Float|Double|S?U?Int|S?Fixed)/.test(message) ? NUMERIC_IGNORE_EMPTY_NUMBER : undefined);
    return number === undefined ? head : `${head}\n    optional bool ignore_empty = ${number};`;
  });
}

/** `strategy: all` hands every file to the plugin at once: 3 s, where one run a folder takes over a minute. */
function runBuf(work) {
  writeFileSync(join(work, "buf.yaml"), "version: v2\nmodules:\n  - path: proto\n");
  const plugin = [
    "  - local:",
    `      - ${JSON.stringify(process.execPath)}`,
    `      - ${JSON.stringify(join(modules, "@bufbuild/protoc-gen-es/bin/protoc-gen-es"))}`,
    "    out: gen",
    "    strategy: all",
    "    opt: [target=ts, import_extension=ts, erasable_syntax=true]",
  ];
  writeFileSync(join(work, "buf.gen.yaml"), ["version: v2", "plugins:", ...plugin, ""].join("\n"));
  const run = spawnSync(process.execPath, [join(modules, "@bufbuild/buf/bin/buf"), "generate"], { cwd: work, encoding: "utf8", timeout: 120_000 });
  if (run.status !== 0) throw new Error(`buf generate ended with ${run.status ?? run.signal}:\n${run.stderr}${run.stdout}`);
}

/** Descriptors of files are made by src/wire/envoy/file-desc.ts, which says why. */
function useOwnFileDesc(folder) {
  for (const name of readdirSync(folder, { recursive: true }).map(String)) {
    if (!name.endsWith("_pb.ts")) continue;
    const file = join(folder, name);
    const text = readFileSync(file, "utf8");
    const own = text.replace(/^import \{ (.*) \} from "@bufbuild\/protobuf\/codegenv2";$/m, (line, names) => {
      const others = names.split(", ").filter((each) => each !== "fileDesc");
      const rest = others.length === 0 ? "" : `import { ${others.join(", ")} } from "@bufbuild/protobuf/codegenv2";\n`;
      return `${rest}import { fileDesc } from "#wire/envoy/file-desc.ts";`;
    });
    if (own === text) throw new Error(`${name} does not import fileDesc as expected; look at what this version of protoc-gen-es writes`);
    writeFileSync(file, own);
  }
}

/** One registry of all messages, with which a google.protobuf.Any is read from and written to JSON. */
function registrySource(files) {
  const entries = files.map((file) => ({
    path: `./${file.replace(/\.proto$/, "_pb.ts")}`,
    name: `file_${file.replace(/\.proto$/, "").replaceAll(/\W/g, "_")}`,
  }));
  return [
    'import { createRegistry, type Registry } from "@bufbuild/protobuf";',
    ...entries.map(({ path, name }) => `import { ${name} } from "${path}";`),
    "",
    "export const envoyRegistry: Registry = createRegistry(",
    ...entries.map(({ name }) => `  ${name},`),
    ");",
    "",
  ].join("\n");
}
