/** Clusters of a user whose programs are stand-ins: what is tried is the supervisor and the command, in a second a start. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { SupervisorRecord } from "#cli/state.ts";
import type { User } from "./user.ts";
import { startWeft, weft, type CommandResult, type RunningCommand } from "./weft.ts";

/** Of a start with stand-ins, on a machine that does much else. */
export const START_MS = 60_000;

export class StandInCluster {
  readonly name: string;
  readonly #user: User;

  constructor(user: User, name: string) {
    this.#user = user;
    this.name = name;
  }

  get stateDir(): string {
    const isRoot = process.getuid?.() === 0 && this.#user.prefix.length === 0;
    return join(isRoot ? "/var/lib/weft" : join(this.#user.env["XDG_STATE_HOME"] ?? "", "weft"), this.name);
  }

  up(...args: readonly string[]): RunningCommand {
    return startWeft(this.#user, ["up", "--name", this.name, "--programs", join(this.#user.checkout, "test/cluster/stand-ins"), ...args]);
  }

  /** Resolves when it runs. */
  async runs(...args: readonly string[]): Promise<RunningCommand> {
    const running = this.up(...args);
    await running.until(/Ctrl-C ends it/, START_MS);
    return running;
  }

  /** `weft COMMAND --name NAME ARGS`. */
  weft(command: string, ...args: readonly string[]): Promise<CommandResult> {
    return weft(this.#user, [command, "--name", this.name, ...args]);
  }

  record(): SupervisorRecord {
    return JSON.parse(readFileSync(join(this.stateDir, "supervisor.json"), "utf8")) as SupervisorRecord;
  }

  /** Ends it and removes its state; also when a test failed half-way. */
  async remove(): Promise<void> {
    await this.weft("down");
    for (const path of [this.stateDir, `${this.stateDir}.up.log`]) rmSync(path, { recursive: true, force: true });
  }
}
