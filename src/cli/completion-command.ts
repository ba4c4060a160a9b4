// `weir completion bash|zsh|fish`. Input: the command tree. Output: a script for the shell.
// Invariant: made from the commands themselves, so that it cannot name what is not there.
import { Argument, type Command } from 'commander';
import { DataOutput } from './terminal.ts';

interface Entry {
  /** Words of the command: `maglev table`; empty for the program itself. */
  readonly path: string;
  readonly description: string;
  readonly options: readonly { readonly flag: string; readonly description: string; readonly takesValue: boolean }[];
  readonly subcommands: readonly string[];
}

/** Adds `weir completion`. */
export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const output = new DataOutput();
      const entries = entriesOf(program, '');
      output.write(shell === 'bash' ? bash(entries) : shell === 'zsh' ? zsh(entries) : fish(entries));
      await output.end();
    });
}

function entriesOf(command: Command, path: string): Entry[] {
  const own: Entry = {
    path,
    description: command.description(),
    options: command.options.flatMap((option) =>
      [option.short, option.long]
        .filter((flag) => flag !== undefined && flag !== null)
        .map((flag) => ({ flag, description: option.description, takesValue: option.required || option.optional })),
    ),
    subcommands: command.commands.map((child) => child.name()),
  };
  return [
    own,
    ...command.commands.flatMap((child) => entriesOf(child, path === '' ? child.name() : `${path} ${child.name()}`)),
  ];
}

/** Shared by bash and zsh: the longest command that the words begin with, then its words or files. */
function bash(entries: readonly Entry[]): string {
  const cases = entries
    .map(({ path, options, subcommands }) => {
      const words = [...subcommands, ...options.map(({ flag }) => flag), '--help'].join(' ');
      return `    ${path === '' ? '""' : `"${path}"`}) words="${words}" ;;`;
    })
    .join('\n');
  const known = entries.filter(({ path }) => path !== '').map(({ path }) => `"${path}"`);
  return `# bash completion for weir; source it, or put it into bash_completion.d
_weir() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="" candidate word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    candidate="\${command:+$command }$word"
    case "$candidate" in
      ${known.join('|')}) command="$candidate" ;;
      *) break ;;
    esac
  done
  case "$command" in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#COMPREPLY[@]} -eq 0 || "$current" != -* ]] && COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _weir weir
`;
}

function zsh(entries: readonly Entry[]): string {
  return `#compdef weir
# zsh completion for weir; source it, or put it on fpath as _weir
autoload -U +X bashcompinit && bashcompinit
${bash(entries)}`;
}

function fish(entries: readonly Entry[]): string {
  const quote = (text: string): string => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  const lines = ['# fish completion for weir'];
  for (const { path, options, subcommands } of entries) {
    const condition =
      path === ''
        ? '__fish_use_subcommand'
        : path
            .split(' ')
            .map((word) => `__fish_seen_subcommand_from ${word}`)
            .join('; and ');
    for (const name of subcommands) {
      const child = entries.find((entry) => entry.path === (path === '' ? name : `${path} ${name}`));
      lines.push(`complete -c weir -n ${quote(condition)} -a ${name} -d ${quote(child?.description ?? '')}`);
    }
    for (const { flag, description, takesValue } of options) {
      const name = flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
      lines.push(`complete -c weir -n ${quote(condition)} ${name}${takesValue ? ' -r' : ''} -d ${quote(description)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
