/** What of a page someone could not read: text of too little contrast, text that leaves the window. */
import type { Page } from 'playwright-core';

/** Texts with less contrast than WCAG 2 AA asks for: 4.5, or 3 where they are large. */
export async function paleTexts(page: Page): Promise<string[]> {
  return await page.evaluate(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    if (canvas === null) throw new Error('Expected a canvas, got none.');
    const over = (below: string[], color: string) => {
      canvas.clearRect(0, 0, 1, 1);
      for (const one of [...below, color]) {
        canvas.fillStyle = one;
        canvas.fillRect(0, 0, 1, 1);
      }
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = (rgb: number[]) => {
      const [red = 0, green = 0, blue = 0] = rgb.map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const pale: string[] = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      const element = node.parentElement;
      const text = node.textContent?.trim() ?? '';
      if (element === null || text === '' || !element.checkVisibility()) continue;
      if (element.closest('.unseen, script, noscript, option') !== null) continue;
      const grounds: string[] = [];
      for (let one: Element | null = element; one !== null; one = one.parentElement) {
        grounds.unshift(getComputedStyle(one).backgroundColor);
      }
      const { color, fontSize, fontWeight } = getComputedStyle(element);
      const [text_, ground] = [luminance(over(grounds, color)), luminance(over(grounds, '#0000'))];
      const ratio = (Math.max(text_, ground) + 0.05) / (Math.min(text_, ground) + 0.05);
      const size = Number.parseFloat(fontSize);
      const isLarge = size >= 24 || (size >= 18.7 && Number(fontWeight) >= 700);
      if (ratio < (isLarge ? 3 : 4.5)) pale.push(`${ratio.toFixed(2)}: ${text.slice(0, 60)}`);
    }
    return pale;
  });
}

/** By how many pixels the document is wider than the window. */
export async function overflowOf(page: Page): Promise<number> {
  return await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
}

/** Of the accessibility tree, what someone would have to guess: roles that need a name without one. */
export async function nameless(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  await session.detach();
  return nodes
    .filter(({ ignored, role }) => !ignored && NAMED.includes(String(role?.value)))
    .filter(({ name }) => String(name?.value ?? '').trim() === '')
    .map(({ role, nodeId }) => `${String(role?.value)} ${nodeId}`);
}

const NAMED = [
  ...['button', 'link', 'textbox', 'combobox', 'heading', 'table', 'image', 'region', 'form'],
  ...['columnheader', 'rowheader', 'DisclosureTriangle', 'group', 'RootWebArea'],
];
