/** The scenes of the demo, each judged: what the mesh and the network promise, shown on a running cluster. */
import { randomUUID } from "node:crypto";
import { binomialBounds } from "./binomial.ts";
import { get, reviewsVersion, tally } from "./requests.ts";
import { secondsSinceStart, type Report } from "./report.ts";
import type { ProgramResult } from "#tools/run-program.ts";
import { readUnderlay } from "./underlay.ts";
import type { Capture, World } from "./world.ts";

const REQUESTS = 1000;
/** One run in a million may fail by chance. */
const ERROR = 1e-6;
const REVIEWS = "/api/v1/products/0/reviews";

/** Where a scene plays, and who tells of it. */
interface Scene extends World {
  readonly report: Report;
}

async function showSplit({ gateway, report }: Scene): Promise<void> {
  report.heading(`${REQUESTS} requests, 90/10 between reviews v1 and v3; jason always gets v2`);
  const jason = (): Promise<string> => get(gateway + REVIEWS, { "end-user": "jason" }).then(reviewsVersion);
  // The route for jason tells when the routes have arrived.
  await report.eventually(
    () => tally(20, jason),
    (counts) => counts.get("v2") === 20,
  );
  const counts = await tally(REQUESTS, () => get(gateway + REVIEWS).then(reviewsVersion));
  const { low, high } = binomialBounds(REQUESTS, 0.1, ERROR);
  const v3 = counts.get("v3") ?? 0;
  const said = [...counts].map(([version, count]) => `${version} ${count}`).join(", ");
  report.judge(v3 >= low && v3 <= high && v3 + (counts.get("v1") ?? 0) === REQUESTS, `${said}; v3 should be between ${low} and ${high}`);
  const forJason = await tally(100, jason);
  report.judge(forJason.get("v2") === 100, `end-user: jason: ${[...forJason].map(([version, count]) => `${version} ${count}`).join(", ")}`);
}

/**
 * Requests of one workload to three others, inside the mesh: what a visitor sends to the gateway is plain HTTP, and meant
 * to be. That the capture would see a marker in the clear is shown by a pod outside the mesh, which sends one.
 */
async function showWire({ report, addressAcross, inside, isNetworkOurs }: Scene, capture: Capture | undefined): Promise<void> {
  report.heading("the wire between the nodes");
  const [marker, plainMarker] = [`marker-${randomUUID()}`, `plain-${randomUUID()}`];
  const urls = ["http://reviews:9080/reviews/[0-19]", "http://details:9080/details/[0-19]", "http://ratings:9080/ratings/[0-19]"];
  const { stdout } = await inside("productpage-v1", "curl", "-s", "-H", `end-user: ${marker}`, "-w", "\\nstatus %{http_code}\\n", "--max-time", "20", ...urls);
  const answered = stdout.split("\n").filter((line) => line === "status 200").length;
  await inside(
    "visitors/visitor",
    "curl",
    "-s",
    "-o",
    "/dev/null",
    "-H",
    `end-user: ${plainMarker}`,
    "--max-time",
    "5",
    `http://${await addressAcross()}:9080/health`,
  );
  report.judge(answered === 60, `${answered} of 60 requests of productpage to reviews, details and ratings answered, with the header "end-user: ${marker}"`);
  if (capture === undefined) return report.fact("what travels between the nodes is not looked at: they cannot be reached from here");
  const bytes = await capture.finish();
  const { frames, vxlanFrames, tls13Handshakes, plainMarkers } = readUnderlay(bytes, marker);
  if (isNetworkOurs) report.judge(vxlanFrames > 0, `${vxlanFrames} of ${frames} frames on the underlay are VXLAN`);
  report.judge(tls13Handshakes > 0, `${tls13Handshakes} TLS 1.3 handshakes ${isNetworkOurs ? "inside" : "between pods"}`);
  report.judge(plainMarkers === 0, `the marker stands in the clear in ${plainMarkers} frames`);
  const outsiders = readUnderlay(bytes, plainMarker).plainMarkers;
  report.judge(outsiders > 0, `what is in the clear is seen: the marker of a pod outside the mesh, sent to compare, stands in ${outsiders} frames`);
}

async function showRefusals({ report, apply, inside }: Scene): Promise<void> {
  report.heading("ratings refuses productpage");
  await apply("ratings-only-reviews.yaml");
  const ask = (): Promise<ProgramResult> => inside("productpage-v1", "curl", "-s", "-i", "--max-time", "5", "http://ratings:9080/ratings/0");
  const refused = await report.eventually(ask, ({ stdout }) => / 403 /.test(stdout));
  const why = /^x-weft-why: *(.*?)\r?$/im.exec(refused.stdout)?.[1] ?? "(no x-weft-why)";
  report.fact(`${refused.stdout.split("\r\n")[0] ?? ""}   x-weft-why: ${why}`);
  report.judge(/ 403 /.test(refused.stdout) && refused.stdout.includes("RBAC: access denied"), "403, RBAC: access denied");
  report.judge(/AuthorizationPolicy default\/ratings-only-reviews spec\.rules/.test(why), "the answer names the policy and the rule");

  report.heading("a pod outside the mesh is refused under STRICT");
  await apply("strict.yaml");
  const stranger = (): Promise<ProgramResult> =>
    inside("visitors/visitor", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "http://productpage.default:9080/productpage");
  const { code, stdout } = await report.eventually(stranger, (result) => result.code !== 0);
  report.judge(code !== 0, `curl got no answer: it ended with status ${code}, HTTP status ${stdout}`);
}

async function showCutOff({ report, apply, remove, inside, weft, typed }: Scene): Promise<void> {
  report.heading("a NetworkPolicy cuts details off");
  await apply("details-cut-off.yaml");
  const details = (): Promise<ProgramResult> =>
    inside("visitors/visitor", "curl", "-s", "-o", "/dev/null", "--connect-timeout", "2", "--max-time", "4", "http://details.default:9080/details/0");
  const cut = await report.eventually(details, (result) => result.code === 28);
  report.judge(cut.code === 28, `curl ended with ${cut.code} (28: no answer at all)`);
  const policy = "NetworkPolicy default/details-cut-off";
  const drops = async (): Promise<number> => {
    const { stdout } = await weft("flows", "--verdict", "dropped", "-o", "json");
    return (JSON.parse(stdout || "[]") as readonly { readonly policies: readonly string[] }[]).filter(({ policies }) => policies.includes(policy)).length;
  };
  const dropped = await report.eventually(drops, (count) => count > 0);
  const { stdout } = await weft("flows", "--verdict", "dropped");
  const [headings = "", ...rows] = stdout.trimEnd().split("\n");
  report.fact(`$ ${typed("flows", "--verdict", "dropped")}\n${headings}\n${rows.findLast((row) => row.includes(policy)) ?? ""}`);
  report.judge(dropped > 0, `${dropped} drops are listed with ${policy}`);
  await remove("details-cut-off.yaml");
}

interface WhyAnswer {
  readonly verdict: string;
  readonly hops: readonly { readonly hop: string; readonly verdict?: string; readonly by?: { readonly kind: string; readonly name: string } }[];
}

async function showWhy({ report, inside, weft, typed }: Scene): Promise<void> {
  report.heading("weft why, for one that is allowed and one that is denied");
  const cases = [
    { from: "productpage-v1", to: "reviews:9080", path: "/reviews/0", verdict: "allowed" },
    { from: "productpage-v1", to: "ratings:9080", path: "/ratings/0", verdict: "denied" },
  ];
  for (const { from, to, path, verdict } of cases) {
    const command = ["why", from, to, "--path", path] as const;
    const told = await weft(...command);
    report.fact(`$ ${typed(...command)}`);
    report.fact(told.stdout || told.stderr);
    const answer = JSON.parse((await weft(...command, "-o", "json")).stdout || '{"verdict":"none","hops":[]}') as WhyAnswer;
    const live = await inside(from, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", `http://${to}${path}`);
    const happened = live.stdout === "200" ? "allowed" : live.stdout === "403" ? "denied" : `HTTP status ${live.stdout}`;
    report.judge(answer.verdict === verdict && happened === verdict, `why says ${answer.verdict}; the request itself was ${happened}`);
  }
}

/** Looks at the cluster, and shows all scenes. `capture` runs since before the first pod of the mesh; undefined: nodes cannot be reached. */
export async function showAll(world: World, report: Report, capture: Capture | undefined): Promise<void> {
  report.heading("nodes and pods");
  const { nodes, pods } = await world.look();
  for (const line of [...nodes, ...pods]) report.fact(line.text);
  report.judge(nodes.length === 2 && nodes.every((node) => node.ready), `${nodes.length} nodes Ready`);
  report.judge(pods.length > 0 && pods.every((pod) => pod.ready), `${pods.length} pods Ready`);
  report.judge(new Set(pods.map((pod) => pod.node)).size === 2, "on both nodes");
  const { gateway } = world;
  const page = await report.eventually(
    () => get(`${gateway}/productpage`).catch((error: unknown) => ({ status: 0, headers: {}, body: String(error) })),
    ({ status }) => status === 200,
  );
  report.judge(page.status === 200 && page.body.includes("Comedy of Errors"), `${gateway}/productpage answers ${page.status}`);
  report.fact(`from nothing to the first answer through mutual TLS: ${secondsSinceStart().toFixed(1)} s`);
  const scene: Scene = { ...world, report };
  await showSplit(scene);
  await showWire(scene, capture);
  await showRefusals(scene);
  if (world.isNetworkOurs) await showCutOff(scene);
  await showWhy(scene);
  report.isComplete = true;
}
