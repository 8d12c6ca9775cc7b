/** Runs a command beside a container's processes: exec, exec probes, hooks. Never with more rights than the container has. */
import type { Container } from "#model/pod-parts.ts";
import type { ProbeResult } from "#run/probe.ts";
import type { ContainerProcess } from "./container-process.ts";
import { sandboxSpec } from "./container-launcher.ts";
import type { PodContext } from "./pod-context.ts";
import { askHttp } from "./probe.ts";
import { enterCommand, launchEnvironment, sandboxCommand, sandboxOptions } from "./sandbox/sandbox.ts";
import { sidecarName } from "./sidecar.ts";

export interface ReadyCommand {
  readonly command: [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
}

/** The argv to spawn for `command` in the container; an Error says why it cannot be. */
export async function commandInContainer(
  context: PodContext,
  container: Container,
  process: ContainerProcess | undefined,
  { command, terminal = false }: { readonly command: readonly string[]; readonly terminal?: boolean },
): Promise<ReadyCommand> {
  const { paths, host } = context;
  const spec = await sandboxSpec(context, container);
  if ("reason" in spec) throw new Error(spec.message);
  if (container.name === sidecarName) {
    // The proxy itself is outside of every sandbox, and so nobody gets in beside it: the command runs in a sandbox of its own
    // in the same network, from where the proxy's ports answer.
    const options = `${paths.own}/beside-proxy.options`;
    await host.files.writeAtomic(options, `${[...sandboxOptions(spec), "--die-with-parent"].join("\0")}\0`, { mode: 0o600 });
    return {
      command: sandboxCommand(
        { ...spec, env: { ...(terminal ? terminalEnvironment : {}), ...spec.env }, command: terminal ? ["setsid", "--ctty", "--", ...command] : command },
        { status: "/dev/null", options, seccomp: context.seccomp },
      ),
      env: launchEnvironment,
    };
  }
  const pid = await process?.mainPid();
  if (pid === undefined) throw new Error(`container ${container.name} is not running`);
  const { uid, gid, hostUid, workingDirectory } = spec;
  const env = { HOSTNAME: spec.hostname, ...(terminal ? terminalEnvironment : {}), ...spec.env };
  return { command: enterCommand({ pid, uid, gid, hostUid, env, workingDirectory, command, terminal, seccomp: context.seccomp }), env: launchEnvironment };
}

/** As container runtimes set it where there is a terminal. */
const terminalEnvironment = { TERM: "xterm" };

export interface CommandResult {
  readonly code: number;
  readonly output: string;
}

const longestOutput = 10 * 1024;

export async function runInContainer(
  context: PodContext,
  container: Container,
  process: ContainerProcess | undefined,
  run: { command: readonly string[]; timeoutMs: number },
): Promise<CommandResult> {
  const ready = await commandInContainer(context, container, process, { command: run.command });
  const { processes, clock } = context.host;
  const result = await new Promise<CommandResult>((resolve) => {
    let output = "";
    const take = (bytes: Uint8Array): void => {
      if (output.length < longestOutput) output += Buffer.from(bytes).toString("utf8");
    };
    const child = processes.spawn({
      ...ready,
      output: { onStdout: take, onStderr: take },
      stdin: "ignore",
      onExit: ({ code }) => {
        timer.cancel();
        resolve({ code: code ?? 137, output });
      },
    });
    const timer = clock.after(run.timeoutMs, () => {
      child.kill("SIGKILL");
      resolve({ code: 137, output: `command ${JSON.stringify(run.command.join(" "))} timed out after ${run.timeoutMs / 1000}s` });
    });
  });
  return result;
}

/** postStart and preStop. Without a time limit of its own: the caller has the grace period. */
export async function runHook(
  context: PodContext,
  container: Container,
  process: ContainerProcess | undefined,
  kind: "postStart" | "preStop",
): Promise<ProbeResult> {
  const handler = container.lifecycle?.[kind];
  if (handler === undefined) return { ok: true, message: "" };
  const longestMs = 600_000;
  try {
    if (handler.sleep !== undefined) await context.host.clock.sleep(handler.sleep.seconds * 1000);
    if (handler.httpGet !== undefined) {
      const target = { container, podIP: context.record.podIP ?? "", netns: context.paths.netns };
      return await askHttp(context.host, target, handler.httpGet, longestMs);
    }
    if (handler.exec !== undefined) {
      const { code, output } = await runInContainer(context, container, process, { command: handler.exec.command ?? [], timeoutMs: longestMs });
      return {
        ok: code === 0,
        message: code === 0 ? "" : `Exec lifecycle hook (${(handler.exec.command ?? []).join(" ")}) ended with ${code}: ${output.trim()}`,
      };
    }
    return { ok: true, message: "" };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}
