/**
 * The image that Kubernetes' tests run in their pods lacks, as the peer makes it, the certificate that its web server uses for
 * TLS on ports of the API server's proxy. Any will do: nobody verifies it.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { runProgram } from "#tools/run-program.ts";

const CERTIFICATE = "localhost.crt";
const KEY = "localhost.key";

interface Descriptor {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export async function completeAgnhost(cluster: KubernetesCluster): Promise<void> {
  const { peer, nodes } = cluster;
  if (peer === undefined || nodes === undefined) return;
  const archive = join(peer.home, "img/agnhost.tar");
  const read = async (path: string): Promise<Buffer> => Buffer.from(await output(["tar", "-xOf", archive, path]));
  const blob = async <T>({ digest }: Descriptor): Promise<T> => JSON.parse(String(await read(`blobs/${digest.replace(":", "/")}`))) as T;
  const index = JSON.parse(String(await read("index.json"))) as { readonly manifests: readonly [Descriptor] };
  const name = index.manifests[0].annotations?.["io.containerd.image.name"] ?? "";
  const { config } = await blob<{ readonly config: Descriptor }>(index.manifests[0]);
  const image = await blob<{ readonly config: object }>(config);
  const folder = mkdtempSync(join(tmpdir(), "weft-agnhost-"));
  const files = join(folder, "root");
  cpSync(join(peer.home, "img/r-agnhost"), files, { recursive: true, verbatimSymlinks: true });
  await output([
    ...(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"] as const),
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", join(files, KEY), "-out", join(files, CERTIFICATE)],
  ]);
  await output(["chmod", "644", join(files, KEY)]);
  await output(["python3", join(peer.scripts, "mkimage.py"), join(folder, "agnhost.tar"), name, files, JSON.stringify(image.config)]);
  await nodes.importImages(join(folder, "agnhost.tar"));
  rmSync(folder, { recursive: true, force: true });
}

async function output(command: readonly [string, ...string[]]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(command);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr.trim()}`);
  return stdout;
}
