/**
 * The images that Kubernetes' tests run in their pods, as far as they can be had: the peer makes agnhost without two things that it
 * has upstream, programs that ask for names, and a certificate for its web server (any will do: nobody verifies it).
 * Another image that tests ask names from is the same under another name.
 */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { sharedFiles } from "#tools/image/shared-libraries.ts";
import { runProgram } from "#tools/run-program.ts";

const PROGRAMS = ["/usr/bin/dig", "/usr/bin/getent"];
/** Of the images that the tests list, what pods ask names from. */
const ASKS_NAMES = /\/(agnhost:2\.59|jessie-dnsutils:.*)$/;

interface Descriptor {
  readonly digest: string;
}

export async function provideTestImages(cluster: KubernetesCluster): Promise<void> {
  const { peer, nodes } = cluster;
  if (peer === undefined || nodes === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "weft-test-images-"));
  const files = join(folder, "root");
  cpSync(join(peer.home, "img/r-agnhost"), files, { recursive: true, verbatimSymlinks: true });
  await addCertificate(files);
  for (const program of PROGRAMS) addProgram(files, program);
  const config = await configIn(join(peer.home, "img/agnhost.tar"));
  const listed = (await output([join(peer.home, "e2e.test"), "--list-images"])).split("\n").filter((name) => ASKS_NAMES.test(name));
  for (const name of listed) {
    await output(["python3", join(peer.scripts, "mkimage.py"), join(folder, "image.tar"), name, files, config]);
    await nodes.importImages(join(folder, "image.tar"));
  }
  rmSync(folder, { recursive: true, force: true });
}

async function addCertificate(files: string): Promise<void> {
  const [key, certificate] = [join(files, "localhost.key"), join(files, "localhost.crt")];
  await output([
    ...(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"] as const),
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
  ]);
  await output(["chmod", "644", key]);
}

function addProgram(files: string, program: string): void {
  const add = (path: string, to: string): void => {
    mkdirSync(dirname(join(files, to)), { recursive: true });
    cpSync(realpathSync(path), join(files, to), { force: true });
  };
  const { interpreter, libraries } = sharedFiles(realpathSync(program));
  rmSync(join(files, program), { force: true });
  add(program, program);
  if (interpreter !== undefined) add(interpreter, interpreter);
  for (const [name, path] of libraries) add(path, `/lib/x86_64-linux-gnu/${name}`);
}

/** Entry point, environment: what the image's maker said. */
async function configIn(archive: string): Promise<string> {
  const read = (path: string): Promise<string> => output(["tar", "-xOf", archive, path]);
  const blob = async <T>({ digest }: Descriptor): Promise<T> => JSON.parse(await read(`blobs/${digest.replace(":", "/")}`)) as T;
  const index = JSON.parse(await read("index.json")) as { readonly manifests: readonly [Descriptor] };
  const manifest = await blob<{ readonly config: Descriptor }>(index.manifests[0]);
  return JSON.stringify((await blob<{ readonly config: object }>(manifest.config)).config);
}

async function output(command: readonly [string, ...string[]]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(command);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr.trim()}`);
  return stdout;
}
