// `-w`: the replayed packets as pcapng, each with its verdict as a comment and as a verdict option.
// Input: judged packets with their original bytes. Output: a file readable by its owner only.
import { type CaptureInterface, PcapngWriter } from '../capture/index.ts';
import { createSink, type FileSink } from '../capture/file/index.ts';
import { FLOW_VERDICTS, ruleText } from '../flow/index.ts';
import { type JudgedPacket, OUTCOME, type Outcome } from '../replay/index.ts';
import { ACTION, dropName, HOOK } from '../schema/index.ts';
import { preparePrivateFile } from './private-file.ts';

/** epb_verdict types and the programs' return codes (linux/bpf.h, linux/pkt_cls.h). */
const TC = 1;
const XDP = 2;
const XDP_CODE = { DROP: 1n, PASS: 2n, TX: 3n, REDIRECT: 4n };
const TC_CODE = { OK: 0n, SHOT: 2n, REDIRECT: 7n };

/** Writes the packets of a replay with what was decided about them. */
export class AnnotatedCapture {
  private readonly sink: FileSink;
  private readonly writer: PcapngWriter;
  private readonly interfaces = new Map<string, number>();

  /** @param path `-` is standard output. */
  constructor(path: string) {
    if (path !== '-') preparePrivateFile(path);
    this.sink = createSink(path);
    this.writer = new PcapngWriter(this.sink, { comment: 'packets as captured, with the verdicts of weir replay' });
  }

  /** Appends the packet; `description` is the interface it was captured on. */
  add(judged: JudgedPacket, description: Pick<CaptureInterface, 'name'> | undefined): void {
    const { facts, outcome } = judged;
    // An interface of pcapng has one link type.
    const key = `${judged.interfaceNumber} ${facts.linkType}`;
    let id = this.interfaces.get(key);
    if (id === undefined) {
      id = this.writer.addInterface({
        linkType: facts.linkType,
        ...(description?.name === undefined ? {} : { name: description.name }),
      });
      this.interfaces.set(key, id);
    }
    const code = verdictOf(outcome);
    this.writer.packet(
      id,
      judged.original,
      0,
      judged.originalBytes,
      facts.wireBytes,
      facts.seconds,
      facts.nanoseconds,
      {
        comments: [commentOf(judged)],
        ...(code === undefined ? {} : { verdicts: [code] }),
      },
    );
  }

  /** Writes what is left and closes the file. */
  close(): void {
    this.writer.flush();
    this.sink.close();
  }
}

function commentOf(judged: JudgedPacket): string {
  const { outcome } = judged;
  const record = judged.record();
  const words: string[] = [FLOW_VERDICTS[outcome.verdict]!];
  if (record.drop !== undefined) words.push(`${dropName(outcome.drop)} (${outcome.drop})`);
  if (record.unknown !== undefined) words.push(`(${record.unknown})`);
  if (record.observed !== undefined) words.push(record.observed === 'copy' ? '(a copy)' : '(the datapath’s output)');
  if (record.hook !== undefined) words.push(`at ${record.hook}`);
  if (record.counterfactual === true) words.push('counterfactual');
  if (record.by.length > 0) words.push(`by ${record.by.map(ruleText).join(', ')}`);
  return words.join(' ');
}

function verdictOf(outcome: Outcome): { type: 1 | 2; code: bigint } | undefined {
  const { verdict, hook, action } = outcome;
  if (verdict === OUTCOME.UNKNOWN || verdict === OUTCOME.OBSERVED || hook === 0) return undefined;
  const dropped = verdict === OUTCOME.DROPPED;
  const redirected = action === ACTION.REDIRECT;
  if (hook === HOOK.XDP) {
    const passed = action === ACTION.TX ? XDP_CODE.TX : redirected ? XDP_CODE.REDIRECT : XDP_CODE.PASS;
    return { type: XDP, code: dropped ? XDP_CODE.DROP : passed };
  }
  return { type: TC, code: dropped ? TC_CODE.SHOT : redirected ? TC_CODE.REDIRECT : TC_CODE.OK };
}
