/** Starts a container's process in its sandbox, or the pod's proxy beside it, from the Pod's words. */
import { programFile, SMALL_HEAP_OPTIONS } from "#model/config.ts";
import type { Container } from "#model/pod-parts.ts";
import { adoptContainer, launchContainer, type ContainerProcess } from "./container-process.ts";
import { describeProcess, isProblem, type ConfigProblem } from "./environment.ts";
import { findImage, imageProblem } from "./images.ts";
import { volumeMounts } from "./mounts.ts";
import { podFacts, type PodContext } from "./pod-context.ts";
import { podHostname } from "#compile/dns/pod-resolver.ts";
import { containerProblem, effectiveIdentity, podProblem } from "./pod-rules.ts";
import { launchEnvironment, sandboxCommand, sandboxOptions, type LaunchFiles, type SandboxSpec } from "./sandbox/sandbox.ts";
import { containerFiles } from "./settings.ts";
import { sidecarBootstrap, sidecarCommand, sidecarName } from "./sidecar.ts";

export interface LaunchRequest {
  readonly container: Container;
  readonly attempt: number;
  readonly signal: AbortSignal;
  /** Called when nothing stands in the way, before anything is started. */
  readonly aboutToStart: () => Promise<void>;
}

export async function launch(context: PodContext, request: LaunchRequest): Promise<ContainerProcess | ConfigProblem> {
  if (request.container.name === sidecarName) return launchSidecar(context, request);
  const { container } = request;
  let spec = await sandboxSpec(context, container);
  if ("reason" in spec) {
    // What it names may only not be known yet.
    await context.sources.settled(request.signal);
    spec = await sandboxSpec(context, container);
  }
  if ("reason" in spec) return spec;
  const { host, paths } = context;
  const files = containerFiles(paths, container.name, request.attempt);
  await makeRunFolders(context, files);
  // Where a container may leave its last words (terminationMessagePath).
  await host.files.writeAtomic(files.lastWords, "", { mode: 0o666 });
  if (context.uids.processes !== undefined) await host.files.chown(files.lastWords, context.uids.processes, context.uids.processes);
  const wordsPath = container.terminationMessagePath ?? "/dev/termination-log";
  const options = sandboxOptions({ ...spec, mounts: [...spec.mounts, { source: files.lastWords, path: wordsPath, readOnly: false }] });
  await host.files.writeAtomic(files.options, `${options.join("\0")}\0`, { mode: 0o600 });
  await request.aboutToStart();
  const launchFiles: LaunchFiles = { status: files.status, options: files.options, seccomp: context.seccomp };
  return launchContainer(host, { command: sandboxCommand(spec, launchFiles), env: launchEnvironment, files, sandboxed: true });
}

export function adopt(context: PodContext, container: Container, attempt: number): Promise<ContainerProcess | undefined> {
  const files = containerFiles(context.paths, container.name, attempt);
  return adoptContainer(context.host, { files, sandboxed: container.name !== sidecarName });
}

/** Everything about the sandbox of one of the pod's containers, or what is missing. */
export async function sandboxSpec(context: PodContext, container: Container): Promise<SandboxSpec | ConfigProblem> {
  const { settings, paths, hostFiles } = context;
  const pod = context.pod();
  const refused = podProblem(pod) ?? containerProblem(pod, container);
  if (refused !== undefined) return refused;
  const image = container.name === sidecarName ? { match: "*", command: ["/bin/sh"] } : findImage(settings.images, container.image ?? "");
  if (image === undefined) return { reason: "ErrImagePull", message: imageProblem(container.image ?? "") };
  const described = describeProcess({ pod, container, image, facts: podFacts(context), sources: context.sources });
  if (isProblem(described)) return described;
  // The proxy's volumes (certificates, tokens of its own) are no business of a shell beside it.
  const volumes = container.name === sidecarName ? [] : volumeMounts(pod, container, `${paths.own}/volumes`, described.env);
  if ("reason" in volumes) return volumes;
  try {
    const mounts = [...volumes];
    for (const mount of image.mounts ?? [])
      mounts.push({ source: await hostFiles.reachable(mount.source), path: mount.path, readOnly: mount.readOnly !== false });
    return {
      ...effectiveIdentity(pod, container),
      netns: paths.netns,
      hostname: podHostname(pod),
      hostUid: context.uids.processes,
      command: described.command,
      env: described.env,
      workingDirectory: container.workingDir ?? "/",
      etc: `${paths.own}/etc`,
      node: await hostFiles.reachable(settings.nodeBinary),
      mounts,
      readOnlyRoot: container.securityContext?.readOnlyRootFilesystem === true,
    };
  } catch (error) {
    return { reason: "CreateContainerError", message: error instanceof Error ? error.message : String(error) };
  }
}

async function launchSidecar(context: PodContext, request: LaunchRequest): Promise<ContainerProcess> {
  const { host, settings, hostFiles, paths, uids, record } = context;
  const files = containerFiles(paths, sidecarName, request.attempt);
  await makeRunFolders(context, files);
  const bootstrap = `${paths.proxy}/bootstrap.json`;
  const content = sidecarBootstrap(context.pod(), record.podIP ?? "", `${paths.proxy}/xds.sock`);
  await host.files.writeAtomic(bootstrap, JSON.stringify(content, undefined, 1), { mode: 0o644 });
  const node = await hostFiles.reachable(settings.nodeBinary);
  const source = await hostFiles.reachable(settings.sourceRoot);
  await request.aboutToStart();
  const program = programFile(settings.programs, "proxy").replace(settings.sourceRoot, source);
  const command = sidecarCommand({ netns: paths.netns, hostUid: uids.proxy, command: [node, ...SMALL_HEAP_OPTIONS, program, "-c", bootstrap] });
  return launchContainer(host, {
    command,
    // An arena for each thread of Node's pools costs 5 MB a proxy.
    env: { ...launchEnvironment, MALLOC_ARENA_MAX: "2", NODE_COMPILE_CACHE: `${settings.stateFolder}/compile-cache` },
    files,
    sandboxed: false,
  });
}

async function makeRunFolders({ host }: PodContext, files: { folder: string; log: string; status: string }): Promise<void> {
  await host.files.makeDirectory(files.folder, { mode: 0o711 });
  await host.files.makeDirectory(files.log.slice(0, files.log.lastIndexOf("/")));
  await host.files.remove(files.status);
}
