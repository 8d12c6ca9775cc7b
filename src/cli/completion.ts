/** `weft completion bash|zsh|fish`, made from the command tree. */
import type { Command } from "commander";
import { CliError } from "./context.ts";

export function completionScript(shell: string, program: Command): string {
  const commands = program.commands.map((command) => command.name()).filter((name) => name !== "help");
  const optionsOf = (command: Command): string =>
    command.options
      .filter((option) => !option.hidden)
      .flatMap((option) => [option.short, option.long])
      .filter((flag) => flag !== undefined)
      .join(" ");
  const cases = program.commands.map((command) => `      ${command.name()}) words="${optionsOf(command)}" ;;`).join("\n");
  switch (shell) {
    case "bash":
      return `_weft() {
  local words="${commands.join(" ")}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "\${COMP_WORDS[1]}" in
${cases}
      *) words="" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _weft weft
`;
    case "zsh":
      // Works sourced, and as a file _weft of fpath. zsh's own variable `words` holds the command line.
      return `#compdef weft
_weft() {
  if (( CURRENT == 2 )); then compadd -- ${commands.join(" ")}; return; fi
  local options
  case "$words[2]" in
${cases.replaceAll("words=", "options=")}
  esac
  compadd -- \${=options}
  _files
}
if [ "$funcstack[1]" = "_weft" ]; then _weft "$@"; else compdef _weft weft; fi
`;
    case "fish":
      return `${[
        "complete -c weft -n __fish_use_subcommand -f",
        ...program.commands.map(
          (command) => `complete -c weft -n __fish_use_subcommand -a ${command.name()} -d '${command.description().replaceAll("'", "")}'`,
        ),
        ...program.commands.flatMap((command) =>
          command.options
            .filter((option) => !option.hidden && option.long !== undefined)
            .map((option) => `complete -c weft -n '__fish_seen_subcommand_from ${command.name()}' -l ${String(option.long).slice(2)}`),
        ),
      ].join("\n")}\n`;
    default:
      throw new CliError(`no completion for "${shell}"; there is: bash, zsh, fish`);
  }
}
