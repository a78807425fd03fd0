//! The event rate of the last two minutes, with the interventions under it.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Rate } from "../api.ts";
import { count, time } from "../format.ts";
import { painted } from "../theme.ts";

const height_px = 220;
const bars = uPlot.paths.bars?.({ size: [0.55, 8, 1] });

export function RateChart({ rates }: { rates: readonly Rate[] }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const data = useRef<uPlot.AlignedData>([[], [], []]);
  data.current = [rates.map((r) => r.t_ms / 1000), rates.map((r) => r.events), rates.map((r) => r.interventions)];
  const colours = painted.value;

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const css = getComputedStyle(document.documentElement);
    const colour = (name: string) => css.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), font: "12px Inter, Helvetica, Arial, sans-serif", ticks: { show: false } };
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: height_px,
        // Half of a time of day has room beside the last tick.
        padding: [8, 34, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
        scales: {
          x: { time: true },
          y: { range: (_, __, max) => [0, Math.max(max * 1.15, 5)] },
          n: { range: (_, __, max) => [0, Math.max(max, 1) * 5] },
        },
        axes: [
          { ...axis, size: 28, space: 90, grid: { show: false }, values: (_, ticks) => ticks.map((t) => time(t * 1000)) },
          { ...axis, size: 52, space: 44, grid: { stroke: colour("--line"), width: 1 }, values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) ? count(t) : "")) },
        ],
        series: [
          {},
          { stroke: colour("--accent"), width: 1.75, fill: colour("--accent-soft"), points: { show: false } },
          { scale: "n", stroke: colour("--warm"), fill: colour("--warm"), width: 0, points: { show: false }, ...(bars && { paths: bars }) },
        ],
      },
      data.current,
      element,
    );
    chart.current = plot;
    const sizes = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: height_px }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      plot.destroy();
      chart.current = null;
    };
  }, [colours]);
  useEffect(() => chart.current?.setData(data.current), [rates]);

  const now = rates.at(-1);
  const most = rates.reduce((max, r) => Math.max(max, r.events), 0);
  return <div ref={host} class="chart" role="img" aria-label={`Events per second in the last two minutes: now ${now?.events ?? 0}, at most ${most}.`} />;
}
