// The colours of Hubble's compact form. Input: whether to colour. Output: functions from text to text.
import pc from 'picocolors';
import type { FlowVerdict } from './record.ts';

/** One function a kind of text. */
export interface Palette {
  /** Colours a host. */
  readonly host: (text: string) => string;
  /** Colours a port. */
  readonly port: (text: string) => string;
  /** Colours an identity. */
  readonly identity: (text: string) => string;
  /** Makes what matters less faint. */
  readonly faint: (text: string) => string;
  /** Colours a text by its verdict. */
  readonly verdict: (verdict: FlowVerdict, text: string) => string;
}

/** Hubble's colours: hosts cyan, ports yellow, identities magenta, verdicts green, red or yellow. */
export function palette(coloured: boolean): Palette {
  const c = pc.createColors(coloured);
  return {
    host: c.cyan,
    port: c.yellow,
    identity: c.magenta,
    faint: c.dim,
    verdict: (verdict, text) => {
      if (verdict === 'FORWARDED' || verdict === 'REDIRECTED') return c.green(text);
      if (verdict === 'DROPPED') return c.red(text);
      return verdict === 'OBSERVED' ? c.dim(text) : c.yellow(text);
    },
  };
}
