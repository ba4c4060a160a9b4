// `weir version`. Input: package.json. Output: the version as text or JSON.
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { DataOutput } from './terminal.ts';

interface PackageFacts {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** The package's own facts; it is found beside the sources as beside the compiled files. */
function packageFacts(): PackageFacts {
  for (const place of ['../../package.json', '../../../package.json']) {
    try {
      const facts = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as Partial<PackageFacts>;
      if (facts.name === 'weir' && facts.version !== undefined) {
        return { name: facts.name, version: facts.version, license: facts.license ?? '' };
      }
    } catch {
      // Not there: the next place.
    }
  }
  return { name: 'weir', version: 'unknown', license: '' };
}

/** The version alone. */
export const versionText = (): string => packageFacts().version;

/** Adds `weir version`. */
export function addVersionCommand(program: Command): void {
  program
    .command('version')
    .description('print the version')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .action(async (options: { readonly output: 'text' | 'json' }) => {
      const { version, license } = packageFacts();
      const output = new DataOutput();
      const facts = {
        version,
        node: process.versions.node,
        v8: process.versions.v8,
        platform: `${process.platform}/${process.arch}`,
        license,
      };
      output.write(
        options.output === 'json'
          ? `${JSON.stringify(facts)}\n`
          : `weir ${version} (node ${facts.node}, ${facts.platform})\n`,
      );
      await output.end();
    });
}
