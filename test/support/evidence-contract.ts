// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import type { EvidenceStore } from "#responder/evidence";

/** What every store of evidence does. `open` gives a store over an empty place; `overwrite` changes a bundle behind its back. */
export function evidenceContract(
  open: () => Promise<EvidenceStore>,
  overwrite: (location: string, text: string) => void,
): void {
  const hash = (text: string): string => createHash("sha256").update(text).digest("hex");
  const text = `{"pod":"web","log":"grün ${"x".repeat(100_000)}"}\n`;

  it("finds nothing where nothing was kept", async () => {
    const store = await open();
    expect(await store.find("shop_none")).toEqual({ ok: true, value: undefined });
  });

  it("finds what was kept, with its hash and the same place", async () => {
    const store = await open();
    const kept = await store.keep("shop_web-1", text);
    expect(kept).toMatchObject({ ok: true, value: { sha256: hash(text) } });
    expect(await store.find("shop_web-1")).toEqual(kept);
    expect(await store.find("shop_web")).toEqual({ ok: true, value: undefined });
  });

  it("keeps the first bundle: it shows the pod as it was", async () => {
    const store = await open();
    await store.keep("shop_web-1", text);
    expect(await store.keep("shop_web-1", "later")).toMatchObject({ ok: false });
    expect(await store.find("shop_web-1")).toMatchObject({ value: { sha256: hash(text) } });
  });

  it("keeps one of two that come at once", async () => {
    const store = await open();
    const [first, second] = await Promise.all([
      store.keep("shop_web-2", "one"),
      store.keep("shop_web-2", "two"),
    ]);
    const winner = [first, second].filter((one) => one.ok);
    expect(winner).toHaveLength(1);
    expect(await store.find("shop_web-2")).toEqual(winner[0]);
  });

  it("tells the hash of what lies there now, so that a changed bundle shows", async () => {
    const store = await open();
    const kept = await store.keep("shop_web-3", text);
    expect(kept).toMatchObject({ ok: true });
    overwrite(kept.ok ? kept.value.location : "", "changed");
    expect(await store.find("shop_web-3")).toMatchObject({ value: { sha256: hash("changed") } });
  });
}
