// The picture of WER against size, as the report draws it: every plan, the front, the best, the goal.

import { element, shape, table } from "./dom.js";
import { frontOf } from "./plans.js";
import { count, percent, planWords, short, times } from "./words.js";

const HEIGHT = 320;
const MARGIN = { left: 54, right: 18, top: 28, bottom: 44 };
const FINEST_WER = 0.0005; // what is drawn lowest: on this axis there is no zero
const TICKS = 5;
const MOST_DOTS = 2000; // beside the front; of more, the latest

/** A figure that is drawn anew with what it is given, and when its width changes. */
export class Chart {
  #picture = { series: [] };

  constructor() {
    this.canvas = element("div", { class: "canvas" });
    this.legend = element("figcaption", { class: "legend" });
    this.front = element("tbody");
    const front = element("div", { class: "scroll" }, table(["parameters", "WER", "strategy", "stage"], this.front));
    const words = element("details", { class: "words" }, element("summary", {}, "The front as a table"), front);
    this.node = element("figure", { class: "chart" }, this.canvas, this.legend, words);
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
  }

  /** Draw the plans of each of `series` ({name, look, plans, best}), the original and the size that is the goal. */
  show(picture) {
    this.#picture = picture;
    this.#draw();
  }

  #draw() {
    const { series, original, goal } = this.#picture;
    const plans = series.flatMap((one) => one.plans);
    const width = this.canvas.clientWidth;
    if (!plans.length || !width) {
      this.canvas.replaceChildren(element("p", { class: "soft empty" }, "No plan is judged yet."));
      this.legend.replaceChildren();
      return;
    }
    const points = original ? [...plans, original] : plans;
    const x = scale([...points.map((p) => p.parameters), ...(goal ? [goal] : [])], MARGIN.left, width - MARGIN.right);
    const y = scale(points.map((p) => Math.max(p.wer, FINEST_WER)), HEIGHT - MARGIN.bottom, MARGIN.top);
    const at = (plan) => [x.at(plan.parameters), y.at(Math.max(plan.wer, FINEST_WER))];
    this.canvas.replaceChildren(shape(
      "svg", { width, height: HEIGHT, role: "img", "aria-label": inWords(series) },
      axes(x, y, width),
      goal ? goalLine(x.at(goal)) : null,
      series.map((one) => drawn(one, at)),
      original ? star(at(original), "original", `original: ${percent(original.wer)} WER`) : null,
      series.map((one) => one.best && star(at(one.best), `best ${one.look}`, `best so far: ${planWords(one.best)}`)),
    ));
    this.legend.replaceChildren(...entries(series, original, goal));
    this.front.replaceChildren(...series.flatMap((one) => frontOf(one.plans)).map(frontRow));
  }
}

function inWords(series) {
  const each = series.map(({ name, best }) => `${name}: ${best ? `best ${planWords(best)}` : "none fits yet"}`);
  return `WER against size. ${each.join("; ")}.`;
}

function frontRow({ parameters, ratio, wer, strategy, stage }) {
  const size = ratio ? `${count(parameters)} (${times(ratio)})` : count(parameters);
  return element("tr", {}, [size, percent(wer), strategy, stage].map((text) => element("td", {}, text)));
}

function drawn({ look, plans }, at) {
  const front = frontOf(plans).map(at);
  const steps = front.map(([px, py], i) => (i ? `H${px}V${py}` : `M${px} ${py}`)).join("");
  return shape("g", { class: `series ${look}` },
    shape("path", { class: "front", d: steps }),
    plans.slice(-MOST_DOTS).map((plan) => dot(plan, at(plan))),
    front.map(([cx, cy]) => shape("circle", { class: "ring", cx, cy, r: 5 })));
}

function dot(plan, [cx, cy]) {
  const by = plan.strategy ? ` (${plan.strategy}, seed ${plan.seed}, ${plan.stage})` : ` (${plan.stage})`;
  const words = `${planWords(plan)}${plan.whole ? "" : ", an estimate"}${by}`;
  return shape("circle", { class: plan.whole ? "dot" : "dot estimate", cx, cy, r: 3 }, shape("title", {}, words));
}

function star([x, y], look, words) {
  const corners = Array.from({ length: 10 }, (_, i) => {
    const radius = i % 2 ? 3.6 : 8.5;
    return `${x + radius * Math.sin((i * Math.PI) / 5)},${y - radius * Math.cos((i * Math.PI) / 5)}`;
  });
  return shape("polygon", { class: `star ${look}`, points: corners.join(" ") }, shape("title", {}, words));
}

function goalLine(x) {
  return shape("line", { class: "goal", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom });
}

function axes(x, y, width) {
  const bottom = HEIGHT - MARGIN.bottom;
  const size = (tick) => count(tick).replace(" ", "\u00a0");
  return shape("g", { class: "axes" },
    y.ticks.map((tick) => [
      shape("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y.at(tick), y2: y.at(tick) }),
      shape("text", { x: MARGIN.left - 8, y: y.at(tick) + 4, "text-anchor": "end" }, short(100 * tick)),
    ]).flat(),
    thinned(x.ticks, x.at).map((tick) =>
      shape("text", { x: x.at(tick), y: bottom + 18, "text-anchor": "middle" }, size(tick))),
    shape("text", { x: width - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, "parameters"),
    shape("text", { x: 0, y: 11 }, "WER, %"));
}

/** Return ticks that leave each other room for their words. */
function thinned(ticks, at) {
  return ticks.filter((tick, i) => i === 0 || ticks.length < 4 || at(ticks[1]) - at(ticks[0]) > 56 || i % 2 === 0);
}

/** Return a logarithmic scale over `values` from one place to another, with its ticks. */
function scale(values, from, to) {
  const low = Math.min(...values) / 1.08;
  const high = Math.max(...values) * 1.08;
  const at = (value) => from + ((to - from) * Math.log(value / low)) / Math.log(high / low);
  return { at, ticks: ticksOf(low, high) };
}

/** Return round numbers between `low` and `high`: in each decade where there are several, evenly spaced otherwise. */
function ticksOf(low, high) {
  const decades = Math.log10(high / low);
  if (decades < 0.8) return spaced(low, high);
  const parts = decades < 2.5 ? [1, 2, 5] : [1];
  const first = Math.floor(Math.log10(low));
  return Array.from({ length: Math.ceil(decades) + 2 }, (_, i) => parts.map((part) => part * 10 ** (first + i)))
    .flat().filter((tick) => tick >= low && tick <= high);
}

function spaced(low, high) {
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((part) => part * power).find((size) => size >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function entries(series, original, goal) {
  const entry = (look, words) => element("span", { class: "entry" }, element("span", { class: `key ${look}` }), words);
  return [
    ...series.map((one) => entry(`plans ${one.look}`, one.name)),
    series.length === 1 && entry("front", "front"),
    entry(`best ${series.length === 1 ? "one" : ""}`, "best so far"),
    original && entry("original", "original"),
    goal && entry("goal", "size of the goal"),
  ].filter(Boolean);
}
