// The findings of a job that has a report: before and after, side by side.

import { element, table } from "./dom.js";
import { bytes, count, percent, short, times } from "./words.js";

/** Return the facts of a report: label, original, compressed, change. */
export function factsOf({ baseline, result, compression_ratio: ratio, size_ratio: sizeRatio, speedup }) {
  const points = 100 * (result.wer - baseline.wer);
  const interval = (edges) => edges.map((edge) => (100 * edge).toFixed(2)).join(" to ");
  const wer = (found) => `${percent(found.wer)} (${interval(found.wer_ci95)})`;
  return [
    ["WER on test", wer(baseline), wer(result), `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(2)} points`],
    ["parameters", count(baseline.parameters), count(result.parameters), `${times(ratio)} smaller`],
    ["bytes", bytes(baseline.bytes), bytes(result.bytes), `${times(sizeRatio)} smaller`],
    ...(speedup.settings ?? []).filter((row) => row.threads === speedup.threads).map(speedFact),
  ];
}

function speedFact({ batch_size: size, rtf_dense: before, rtf_compressed: after, speedup }) {
  return [`real-time factor, batch ${size}`, short(before), short(after), `${times(speedup)} as fast`];
}

/** Return the report's first sentence and its facts as a table. */
export function reportPart(report) {
  const met = report.goal_met ? "met" : "missed";
  const headline = `Goal ${met}: ${times(report.compression_ratio)} smaller, ${percent(report.result.wer)} WER.`;
  const rows = factsOf(report).map(([label, ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, label), cells.map((text) => element("td", {}, text))));
  const heads = ["on the test set", "original", "compressed", "change"];
  return element("section", {},
    element("p", { class: `headline ${met}` }, headline),
    element("div", { class: "scroll" }, table(heads, element("tbody", {}, rows), "stacked")));
}
