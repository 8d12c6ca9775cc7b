/** Who only asks: `weft status`, `why` and `flows` with a KUBECONFIG of a user who may read what they need and nothing else. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse, stringify } from "yaml";
import { root } from "#tools/run-command.ts";
import type { ProgramResult } from "#tools/run-program.ts";
import type { Running } from "./shared-tests.ts";

const USER = "system:serviceaccount:default:asker";
const QUESTIONS = [["status"], ["flows"], ["why", "-n", "istio-system", "istio-ingressgateway", "kubernetes.default:443"]] as const;

interface Kubeconfig {
  readonly clusters: readonly { readonly name: string; readonly cluster: Readonly<Record<string, string>> }[];
}

export function plainUsersMayAsk(cluster: Running): void {
  test("status, why and flows need no more than the rights that Weft brings for them, and say what is missing", { timeout: 120_000 }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "weft-user-"));
    t.after(async () => {
      rmSync(folder, { recursive: true });
      await cluster().kubectl("-n", "default", "delete", "serviceaccount", "asker", "--wait=false");
      await cluster().kubectl("delete", "clusterrolebinding", "asker", "--wait=false");
      await cluster().kubectl("-n", "weft-system", "delete", "rolebinding", "asker", "--wait=false");
    });
    await cluster().get("-n", "default", "create", "serviceaccount", "asker");
    const token = (await cluster().get("-n", "default", "create", "token", "asker")).trim();
    const file = join(folder, "kubeconfig");
    writeFileSync(file, kubeconfigOf(cluster().kubeconfig, token));
    const ask = (question: readonly string[]): Promise<ProgramResult> =>
      cluster().run([process.execPath, join(root, "weft"), ...question], { env: { KUBECONFIG: file } });

    for (const question of QUESTIONS) {
      const { code, stderr } = await ask(question);
      assert.equal(code, 2, question.join(" "));
      assert.match(stderr, /you need the right to \S+ \S+.*\n.*kubectl create (?:cluster)?rolebinding NAME .*role=weft-reader --user=YOU/, question.join(" "));
    }
    await cluster().get("create", "clusterrolebinding", "asker", "--clusterrole=weft-reader", `--user=${USER}`);
    await cluster().get("create", "rolebinding", "asker", "-n", "weft-system", "--role=weft-reader", `--user=${USER}`);
    for (const question of QUESTIONS) {
      const { code, stdout, stderr } = await ask(question);
      assert.ok(code === 0 || code === 1, `${question.join(" ")} ended with ${code}: ${stderr}`);
      assert.doesNotMatch(stderr, /you need the right/);
      if (question[0] === "status") assert.match(stdout, /[0-9]+ MB/);
    }
    // They read, and that is all.
    for (const [may, question] of [
      ["no", ["get", "secrets", "-A"]],
      ["no", ["create", "pods", "--subresource=exec", "-A"]],
      ["no", ["get", "pods", "--subresource=proxy", "-n", "default"]],
      ["yes", ["get", "pods", "--subresource=proxy", "-n", "weft-system"]],
    ] as const) {
      const { stdout } = await cluster().kubectl("auth", "can-i", ...question, "--as", USER);
      assert.equal(stdout.split(" ")[0]?.trim(), may, question.join(" "));
    }
  });
}

/** The same cluster by another user. */
function kubeconfigOf(file: string, token: string): string {
  const { clusters } = parse(readFileSync(file, "utf8")) as Kubeconfig;
  const [first] = clusters;
  if (first === undefined) throw new Error(`${file}: no cluster there`);
  const { "certificate-authority": ca, ...rest } = first.cluster;
  const cluster = ca === undefined ? rest : { ...rest, "certificate-authority-data": readFileSync(ca).toString("base64") };
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster }],
    users: [{ name: "u", user: { token } }],
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    "current-context": "c",
  });
}
