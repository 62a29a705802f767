/** `dealkeep completion`: a script that completes commands, options and their values in a shell, made from the commands themselves. */
import { Argument, Command, type Option } from 'commander';
import { examples } from './options.ts';

export function completionCommand(program: Command): Command {
  return new Command('completion')
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .description('print a completion script, for `dealkeep` and for `npx dealkeep`')
    .addHelpText(...examples('completion bash > dealkeep.bash && source dealkeep.bash'))
    .addHelpText(
      'after',
      '\nIn ~/.bashrc, ~/.zshrc:     source <(npx dealkeep completion bash)\nIn fish:                    npx dealkeep completion fish | source',
    )
    .action((shell: keyof typeof SCRIPTS) => console.log(SCRIPTS[shell](listWords(program))));
}

/** What may follow a command: `path` is how it is reached, as ` payments list`. */
type Words = { path: string; commands: string[]; options: readonly Option[]; values: readonly string[] };

function listWords(program: Command, path = '', command = program): Words[] {
  const commands = command.commands.map((below) => below.name());
  const options = command === program ? command.options : [...command.options, ...program.options];
  const values = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const below = command.commands.flatMap((one) => listWords(program, `${path} ${one.name()}`, one));
  return [{ path, commands, options, values }, ...below];
}

const takesValue = (option: Option) => option.required || option.optional;
const isFile = ({ long }: Option) => ['--credentials', '--data', '--out'].includes(long ?? '');
const unique = (words: readonly string[]) => [...new Set(words)];

/** The options that take one of a few values, with the path of their command. */
function choicesOf(words: readonly Words[]): { path: string; long: string; choices: readonly string[] }[] {
  return words.flatMap(({ path, options }) =>
    options.flatMap(({ long, argChoices }) => (long && argChoices ? [{ path, long, choices: argChoices }] : [])),
  );
}

function bash(words: readonly Words[]): string {
  const options = words.flatMap((one) => one.options);
  const valued = unique(options.filter(takesValue).flatMap(({ long }) => long ?? []));
  const files = unique(options.filter(isFile).flatMap(({ long }) => long ?? []));
  const known = words.flatMap(({ path }) => (path === '' ? [] : [`"${path}"`]));
  const cases = words.map(({ path, commands, options: own, values }) => {
    const flags = [...own.flatMap(({ long }) => long ?? []), '--help'];
    return `    "${path}") candidates="${[...commands, ...values, ...flags].join(' ')}" ;;`;
  });
  const chosen = choicesOf(words).map(
    ({ path, long, choices }) => `    "${path} ${long}") candidates="${choices.join(' ')}" ;;`,
  );
  return `_dealkeep() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="" path="" candidates="" word i
  for ((i = \${_dealkeep_first:-1}; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$before" in
      ${valued.join('|')}) before=""; continue ;;
    esac
    before="$word"
    case "$path $word" in
      ${known.join('|')}) path="$path $word" ;;
    esac
  done
  COMPREPLY=()
  case "$before" in
    ${files.join('|')}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$path $before" in
${chosen.join('\n')}
  esac
  [ -n "$candidates" ] || case "$before" in
    ${valued.join('|')}) return ;;
  esac
  [ -n "$candidates" ] || case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$candidates" -- "$current"))
}
_dealkeep_npx() {
  local _dealkeep_first=2
  if [ "$COMP_CWORD" -gt 1 ]; then
    [ "\${COMP_WORDS[1]}" = dealkeep ] && _dealkeep
  else
    COMPREPLY=($(compgen -W dealkeep -- "\${COMP_WORDS[1]}"))
  fi
}
complete -F _dealkeep dealkeep
complete -o default -F _dealkeep_npx npx`;
}

function fish(words: readonly Words[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "\\'")}'`;
  const lines = words.flatMap(({ path, commands, options, values }) => {
    const steps = path.split(' ').filter((step) => step !== '');
    const seen = steps.map((step) => `__fish_seen_subcommand_from ${step}`);
    const none = commands.length > 0 ? [`not __fish_seen_subcommand_from ${commands.join(' ')}`] : [];
    const here = `complete -c dealkeep -f -n ${quoted([...seen, ...none].join('; and '))}`;
    const follows = [...commands, ...values];
    return [
      ...(follows.length > 0 ? [`${here} -a ${quoted(follows.join(' '))}`] : []),
      ...options.map((option) => {
        const flag = `${here} -l ${option.long?.slice(2)} -d ${quoted(option.description)}`;
        if (!takesValue(option)) return flag;
        if (isFile(option)) return `${flag} -r -F`;
        return option.argChoices ? `${flag} -x -a ${quoted(option.argChoices.join(' '))}` : `${flag} -x`;
      }),
    ];
  });
  return lines.join('\n');
}

const SCRIPTS = {
  bash,
  zsh: (words: readonly Words[]) => `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`,
  fish,
};
