// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { makeBeginnings } from "#responder/beginnings";
import { beginning, beginningsContract, modeOf, upTo } from "#test/support/beginnings-contract";

describe("beginnings of one process", () => {
  beginningsContract(() => {
    const one = makeBeginnings(() => 0);
    return Promise.resolve([one, one]);
  });

  it("forgets what never came to a record", async () => {
    const clock = { ms: 0 };
    const one = makeBeginnings(() => clock.ms);
    await one.begin(beginning("web-1"), upTo(1));
    clock.ms = 60_000;
    expect(modeOf(await one.begin(beginning("web-2"), upTo(1)))).toBe("Propose");
    clock.ms = 60_001;
    expect(modeOf(await one.begin(beginning("web-2"), upTo(1)))).toBe("Automatic");
  });
});
