// Which folder may import which (ARCHITECTURE.md, "The rules"). Anything not written here is an error.
const core = ["lib", "wire", "model"];
const base = [...core, "compile", "host", "run", "client"];
const rows = {
  lib: [],
  wire: ["lib"],
  model: ["lib"],
  compile: core,
  decide: core,
  host: ["lib", "wire"],
  run: ["lib", "host"],
  client: [...core, "host", "run"],
  apiserver: [...core, "host", "run"],
  control: [...base, "decide", "ca", "xds", "inject"],
  agent: [...base, "decide", "dns", "bgp", "xds"],
  pods: base,
  dns: [...base, "decide"],
  bgp: base,
  ca: base,
  xds: base,
  inject: base,
  proxy: [...core, "decide", "host", "run"],
  sidecar: [...core, "compile", "host", "run", "proxy"],
  supervisor: [...core, "host", "run", "client"],
  cli: [...base, "decide"],
};
// Beside tests: what only they start, and the suites that fake and real hosts share.
const test = ["[.]test[.]ts$", "/test-[a-z0-9-]+[.]ts$", "^src/host/contract"];
const coreFolders = "^src/(lib|wire|model|compile|decide)/";
const programs = "apiserver|control|agent|pods|dns|bgp|ca|xds|proxy|inject|sidecar|supervisor|cli";
const machine = "^(fs|net|tls|http|https|http2|dgram|dns|os|child_process|worker_threads|process|timers)(/|$)";

export default {
  forbidden: [
    ...Object.entries(rows).map(([folder, may]) => ({
      name: `${folder}-imports`,
      severity: "error",
      comment: `src/${folder} may import only: ${[folder, ...may].join(", ")}. ARCHITECTURE.md, rule 1.`,
      from: { path: `^src/${folder}/`, pathNot: test },
      to: { path: "^(src|sim|test|tools|bench|examples)/", pathNot: `^src/(${[folder, ...may].join("|")})/` },
    })),
    {
      name: "core-reaches-machine",
      severity: "error",
      comment: "The core computes: no sockets, files or clocks, not even through others.",
      from: { path: coreFolders, pathNot: test },
      to: { path: machine, reachable: true },
    },
    {
      name: "only-host-touches-machine",
      severity: "error",
      comment: "Take a Host.",
      from: { path: "^src/", pathNot: ["^src/host/real/", "^src/bin/", ...test] },
      to: { path: machine },
    },
    {
      name: "real-host-from-bin",
      severity: "error",
      comment: "Programs are handed a Host; only bin, and tests, choose the real one.",
      from: { path: "^(src|sim)/", pathNot: ["^src/(bin|host)/", ...test] },
      to: { path: "^src/host/real/" },
    },
    {
      name: "both-worlds-one-code",
      severity: "error",
      comment: "Nothing above the client knows which API server it talks to: only bin/control.ts, which starts the embedded one, reaches it.",
      from: { path: "^src/", pathNot: ["^src/apiserver/", "^src/bin/control[.]ts$", ...test] },
      to: { path: "^src/apiserver/", reachable: true },
    },
    {
      name: "kubernetes-has-its-own-runtime",
      severity: "error",
      comment: "What a real cluster runs brings neither the embedded cluster's pod runtime nor its supervisor.",
      from: { path: "^src/bin/(kubernetes-[a-z-]+|sidecar|cni)[.]ts$" },
      to: { path: "^src/(apiserver|pods|supervisor)/", reachable: true },
    },
    {
      name: "by-the-door",
      severity: "error",
      comment: "Enter another program through the file that bears its name.",
      from: { path: "^(src|sim)/([^/]+)/|^sim/", pathNot: test },
      to: { path: `^src/(${programs})/`, pathNot: ["^src/([^/]+)/\\1[.]ts$", "^src/$2/"] },
    },
    {
      name: "no-test-code",
      severity: "error",
      comment: "Product code imports no test, fake or simulation.",
      from: { path: "^src/", pathNot: [...test, "^src/host/(fake|contract)"] },
      to: { path: [...test, "^(sim|test)/", "/fake/"] },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-orphans",
      severity: "error",
      from: { orphan: true, path: "^src/", pathNot: [...test, "^src/bin/"] },
      to: {},
    },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "[.]d[.]ts$|^src/wire/envoy/gen/" },
  },
};
