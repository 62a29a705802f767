/** `dealkeep completion`: a script that completes commands in a shell, made from the commands themselves. */
import { Argument, Command } from 'commander';

export function completionCommand(program: Command): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .description('print a completion script')
    .addHelpText(
      'after',
      '\nExamples:\n  source <(npx dealkeep completion bash)\n  npx dealkeep completion fish | source',
    )
    .action((shell: 'bash' | 'zsh' | 'fish') => console.log(SCRIPTS[shell](program.commands)));
}

type Commands = readonly Command[];

const names = (commands: Commands) => commands.map((command) => command.name()).join(' ');

const SCRIPTS: Record<'bash' | 'zsh' | 'fish', (commands: Commands) => string> = {
  bash: (commands) => `_dealkeep() {
  local words="${names(commands)}"
  case "\${COMP_WORDS[1]}" in
${commands.map((command) => `    ${command.name()}) words="${names(command.commands)} --help" ;;`).join('\n')}
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${names(commands)}"
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _dealkeep dealkeep`,
  zsh: (commands) => `autoload -U +X bashcompinit && bashcompinit
${SCRIPTS.bash(commands)}`,
  fish: (commands) =>
    [
      `complete -c dealkeep -f -n __fish_use_subcommand -a '${names(commands)}'`,
      ...commands
        .filter((command) => command.commands.length > 0)
        .map(
          (command) =>
            `complete -c dealkeep -f -n '__fish_seen_subcommand_from ${command.name()}' -a '${names(command.commands)}'`,
        ),
    ].join('\n'),
};
