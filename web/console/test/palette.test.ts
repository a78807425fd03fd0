//! The colours of the stages: seen against the panel, told apart from their neighbours, also by who sees fewer colours.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const css = await readFile(new URL("../src/style/base.css", import.meta.url), "utf8");
type Colour = [number, number, number];

/** Linear light. */
const linear = (hex: string): Colour => [1, 3, 5].map((at) => ((Number.parseInt(hex.slice(at, at + 2), 16) / 255 + 0.055) / 1.055) ** 2.4) as Colour;
const mix = (rows: number[][], colour: Colour): Colour => rows.map((row) => row.reduce((sum, share, at) => sum + share * (colour[at] ?? 0), 0)) as Colour;
const luminance = ([r, g, b]: Colour): number => 0.2126 * r + 0.7152 * g + 0.0722 * b;
const contrast = (a: Colour, b: Colour): number => {
  const [dark = 0, bright = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
};
/** Oklab (Ottosson 2020): equal distances look equally far. */
const lab = (colour: Colour): Colour => {
  const cones = mix([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]], colour).map((c) => Math.cbrt(Math.max(0, c))) as Colour;
  return mix([[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]], cones);
};
const distance = (a: Colour, b: Colour): number => Math.hypot(...lab(a).map((value, at) => value - (lab(b)[at] ?? 0)));
/** Machado, Oliveira and Fernandes 2009, the whole of each. */
const eyes: Record<string, number[][]> = {
  "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

const begin = css.indexOf('[data-theme="dark"]');
const themes = { light: css.slice(0, begin), dark: css.slice(begin, css.indexOf("}", begin)) };
test("each palette stands in the style sheet once", () => assert.equal(css.match(/--panel:/g)?.length, 2));
for (const [theme, text] of Object.entries(themes)) {
  const panel = linear(/--panel: (#\w{6})/.exec(text)?.[1] ?? "");
  const stages = [...text.matchAll(/--seg-\d: (#\w{6})/g)].map(([, hex = ""]) => linear(hex));
  test(`${theme}: every stage stands out from the panel`, () => {
    assert.equal(stages.length, 9);
    for (const [at, stage] of stages.entries()) assert.ok(contrast(stage, panel) >= 3, `seg-${at}: ${contrast(stage, panel).toFixed(2)}`);
  });
  for (const [who, eye] of Object.entries(eyes))
    test(`${theme}, ${who}: no two stages look alike, least of all neighbours`, () => {
      for (const [at, stage] of stages.entries())
        for (let other = at + 1; other < stages.length; other++) {
          const apart = distance(mix(eye, stage), mix(eye, stages[other] ?? stage));
          assert.ok(apart >= (other === at + 1 ? 0.2 : 0.09), `seg-${at} and seg-${other}: ${apart.toFixed(3)}`);
        }
    });
}
