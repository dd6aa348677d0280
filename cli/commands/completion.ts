// SPDX-License-Identifier: Apache-2.0
import type { Arguments, Option } from "../arguments.ts";
import { type Command, exitCodes, helpOption, type Io, refuseUsage } from "../command.ts";
import { commands } from "../commands.ts";

const shells = ["bash", "zsh"] as const;

/** `parapet completion`: a script by which a shell completes commands, options, their choices and files. */
export const completionCommand: Command = {
  name: "completion",
  summary: "print a script with which the shell completes commands and options",
  usage: `completion ${shells.join("|")}`,
  details: `The script holds the commands and options of this version; load it anew after an update. It completes parapet
and kubectl-parapet.`,
  options: [],
  examples: [
    { line: "source <(parapet completion bash)", does: "in this shell, or for good in ~/.bashrc" },
    { line: "source <(parapet completion zsh)", does: "the same in zsh, after compinit" },
  ],
  run,
};

async function run(args: Arguments, io: Io): Promise<number> {
  const [shell, ...more] = args.positionals;
  if (shell === undefined || more.length > 0 || !shells.some((one) => one === shell)) {
    return refuseUsage("completion", `name one shell: ${shells.join(" or ")}`, io);
  }
  const loaded = await Promise.all([...commands.values()].map(({ load }) => load()));
  const prefix = shell === "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
  io.out(`${prefix}${bashScript(loaded)}`);
  return exitCodes.good;
}

/** All words in it are names of ours: nothing from outside gets into a script. */
function bashScript(all: readonly Command[]): string {
  const cases = all.map((command) => {
    const options = [...command.options, helpOption];
    const words = options.flatMap(wordsOf).join(" ");
    return `    ${command.name})\n      options="${words}"\n${options.map(choicesCase).join("")}      ;;\n`;
  });
  return `_parapet() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" options="" choices=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${all.map(({ name }) => name).join(" ")} help" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("")}  esac
  if [ -n "$choices" ]; then COMPREPLY=($(compgen -W "$choices" -- "$word"))
  elif [[ "$word" == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))
  else COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _parapet parapet kubectl-parapet
`;
}

const wordsOf = ({ name, short }: Option): readonly string[] =>
  short === undefined ? [`--${name}`] : [`--${name}`, `-${short}`];

const choicesCase = (option: Option): string =>
  option.choices === undefined
    ? ""
    : `      case "$before" in ${wordsOf(option).join("|")}) choices="${option.choices.join(" ")}" ;; esac\n`;
