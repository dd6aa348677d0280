// SPDX-License-Identifier: Apache-2.0

/** Where the demo speaks: chapters, and under each a line per step with the product's own word for it. */
export type Stage = {
  readonly chapter: (title: string) => void;
  /** `word` is one of the product's words, e.g. `injected`; further lines stand under the first. */
  readonly say: (word: string, ...lines: readonly string[]) => void;
};

const wordWidth = 12;

/** `interruption`: once it is there, the next thing to say throws, so that the demo ends between two steps. */
export function makeStage(out: (text: string) => void, interruption: AbortSignal): Stage {
  let chapters = 0;
  return {
    chapter: (title) => {
      interruption.throwIfAborted();
      chapters += 1;
      out(`\n${chapters}  ${title}\n`);
    },
    say: (word, ...lines) => {
      interruption.throwIfAborted();
      lines.forEach((line, index) => {
        out(`   ${(index === 0 ? word : "").padEnd(wordWidth)} ${line}\n`);
      });
    },
  };
}
