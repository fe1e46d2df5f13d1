// What becomes of each layer: a bar as long as its rank, before the rank up to which low rank saves weights.

import { element, shape, table } from "./dom.js";
import { choiceWords } from "./words.js";

const BAR = 10;

/** Return the table of `layers`, each a name, a choice, its rank and, where it is known, its break-even rank. */
export function layersTable(layers) {
  const most = Math.max(1, ...layers.map((layer) => layer.most ?? layer.rank ?? 0));
  const body = layers.map((layer) => element("tr", {},
    element("th", { scope: "row" }, layer.name),
    element("td", { class: "bar" }, bar(layer, most)),
    element("td", {}, choiceWords(layer.choice))));
  return table(["layer", "rank", "choice"], element("tbody", {}, body), "layers");
}

function bar({ rank, most: breakEven }, most) {
  const width = (value) => `${(100 * value) / most}%`;
  return shape("svg", { width: "100%", height: BAR, "aria-hidden": "true" },
    breakEven ? shape("rect", { class: "room", width: width(breakEven), height: BAR, rx: 2 }) : null,
    rank ? shape("rect", { class: "rank", width: width(rank), height: BAR, rx: 2 }) : null);
}
