import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { Command } from "commander";
import { completionScript } from "./completion.ts";

const program = new Command("weft");
program.command("up").option("--nodes <count>").option("-f, --file <path>");
program.command("status");

/** What a shell says when it has read the script and then runs `ask`; undefined when this machine has no such shell. */
function ask({ shell, args, prepare = "" }: Case, question: string): string | undefined {
  const result = spawnSync(shell, [...args, "-c", `${prepare}\n${completionScript(shell, program)}\n${question}`], { encoding: "utf8" });
  if (result.error !== undefined) return undefined;
  assert.equal(result.stderr, "");
  return result.stdout;
}

const ZSH = 'compadd() { shift; echo "$@" }; _files() {};';
interface Case {
  readonly shell: string;
  readonly args: readonly string[];
  readonly prepare?: string;
  readonly commands: string;
  readonly options: string;
}

const cases: readonly Case[] = [
  {
    shell: "bash",
    args: ["--norc"],
    commands: "COMP_WORDS=(weft st); COMP_CWORD=1; _weft; echo ${COMPREPLY[@]}",
    options: "COMP_WORDS=(weft up --); COMP_CWORD=2; _weft; echo ${COMPREPLY[@]}",
  },
  {
    shell: "zsh",
    args: ["-f"],
    // compdef comes with compinit, which interactive shells have run.
    prepare: "compdef() {}",
    commands: `${ZSH} words=(weft st); CURRENT=2; _weft`,
    options: `${ZSH} words=(weft up --); CURRENT=3; _weft`,
  },
  { shell: "fish", args: ["--no-config"], commands: 'complete -C "weft st"', options: 'complete -C "weft up --"' },
];

describe("the completion script", () => {
  for (const each of cases) {
    test(`of ${each.shell} knows commands and their options`, (t) => {
      const known = ask(each, each.commands);
      if (known === undefined) return t.skip(`no ${each.shell} here: apt-get install ${each.shell}`);
      assert.match(known, /status/);
      const offered = ask(each, each.options) ?? "";
      assert.match(offered, /--nodes/);
      assert.match(offered, /--file/);
    });
  }
});
