// SPDX-License-Identifier: Apache-2.0

/** Programs for `page.evaluate`, as text: they run in the browser, whose types the rest of the tree has not. */

/** Text of what has the keyboard's focus. */
export const focused = "document.activeElement?.textContent";

/** Pixels by which the page is wider than its window. */
export const tooWide = "document.documentElement.scrollWidth - window.innerWidth";

/** Controls, tables and regions that a screen reader could not name. */
export const unnamed = `[...document.querySelectorAll("input:not([type=hidden]), select, button, table, nav, section")]
  .filter((one) => {
    if (one.hasAttribute("aria-label") || one.hasAttribute("aria-labelledby")) return false;
    if (one.matches("input, select")) return one.labels.length !== 1;
    if (one.matches("table")) return one.caption === null;
    return one.textContent.trim() === "" || one.matches("nav, section");
  })
  .map((one) => one.outerHTML.slice(0, 80))`;

const contrast = `
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const behind = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor);
      if (color.length >= 3 && (color[3] ?? 1) > 0.9) return color;
    }
    return [255, 255, 255];
  };
  const ratioOf = (one, other) => {
    const [a, b] = [luminance(one), luminance(other)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };`;

/** Texts whose contrast to what lies behind them is below 4.5 (WCAG 2.2, success criterion 1.4.3). */
export const faintTexts = `(() => {${contrast}
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!own || element.closest(".hidden, .skip, template, script, datalist") !== null) continue;
    const ratio = ratioOf(parse(getComputedStyle(element).color), behind(element));
    if (ratio < 4.5) faint.push(element.tagName + "." + element.className + " " + ratio.toFixed(2));
  }
  return faint;
})()`;

/** Fields and buttons that neither their edge nor their ground sets off from what is around them by 3 (criterion 1.4.11), or that are smaller than 24 pixels (2.5.8). */
export const faintControls = `(() => {${contrast}
  return [...document.querySelectorAll("input:not([type=hidden]), select, button:not([hidden])")].flatMap((one) => {
    const style = getComputedStyle(one);
    const around = behind(one.parentElement);
    const best = Math.max(ratioOf(parse(style.borderTopColor), around), ratioOf(behind(one), around));
    const { width, height } = one.getBoundingClientRect();
    return best >= 3 && width >= 24 && height >= 24 ? [] : [one.outerHTML.slice(0, 60) + " " + best.toFixed(2)];
  });
})()`;
