// Two jobs side by side: their fronts in one picture, their findings, and what was asked differently.

import { findJson, getJson, jobPath } from "./api.js";
import { Chart } from "./chart.js";
import { element, jobLink, table, tell } from "./dom.js";
import { factsOf } from "./facts.js";
import { bestOf, plansOf } from "./plans.js";
import { hasEnded, progressWords } from "./states.js";
import { repeat } from "./waiting.js";
import { goalWords, planWords } from "./words.js";

const EVERY_S = 3;
const LOOKS = ["a", "b"];
const LISTED = "/v1/jobs?limit=200";

/** Show the two jobs that the address names, or ask which. */
export async function compareView({ place, parameters, signal }) {
  const trouble = element("div");
  const chosen = element("form", { class: "pair" });
  const content = element("div");
  place.replaceChildren(element("h1", {}, "Compare two jobs"), chosen, trouble, content);
  const { items } = await getJson(LISTED, signal);
  chosen.append(...LOOKS.map((look, i) => choice(look, i, items.map((job) => job.id), parameters)));
  if (!parameters[0] || !parameters[1]) {
    content.replaceChildren(element("p", { class: "soft" }, "Choose two jobs to see them side by side."));
    return;
  }
  const chart = new Chart();
  const rows = element("tbody");
  const key = (i) => element("span", { class: `key plans ${LOOKS[i]}` });
  const heads = parameters.map((id, i) => element("span", {}, key(i), jobLink(id)));
  const facts = element("div", { class: "scroll" }, table(["", ...heads], rows, "pairs stacked"));
  content.replaceChildren(chart.node, facts);
  let kept = parameters.map(() => null);

  async function refresh() {
    kept = await Promise.all(kept.map((one, i) => (one && hasEnded(one.job) ? one : found(parameters[i], signal))));
    const drawn = ({ job, plans }, i) => ({ name: `${job.id}, front`, look: LOOKS[i], plans, best: bestOf(plans) });
    chart.show({ series: kept.map(drawn) });
    rows.replaceChildren(...rowsOf(kept));
  }

  await repeat(refresh, EVERY_S, { signal, onTrouble: (error) => tell(trouble, error) });
}

function choice(look, i, ids, parameters) {
  const known = parameters[i] && !ids.includes(parameters[i]) ? [parameters[i], ...ids] : ids;
  const shown = parameters[i] ?? "";
  const option = (id) => element("option", { value: id, selected: id === shown }, id || "choose a job");
  const select = element("select", { id: `job-${look}` }, ["", ...known].map(option));
  select.addEventListener("change", () => {
    const pair = LOOKS.map((_, other) => (other === i ? select.value : parameters[other] ?? ""));
    location.hash = `#/compare/${pair.map(encodeURIComponent).join("/")}`;
  });
  return element("div", { class: "field" }, element("label", { for: `job-${look}` }, i ? "and" : "Compare"), select);
}

async function found(id, signal) {
  const job = await getJson(jobPath(id), signal);
  const candidates = await getJson(jobPath(id, "/candidates"), signal);
  const report = job.state === "succeeded" ? await findJson(jobPath(id, "/report"), signal) : null;
  return { job, report, plans: plansOf(candidates) };
}

function rowsOf(pair) {
  const best = pair.map(({ plans }) => bestOf(plans));
  const facts = pair.map(({ report }) => (report ? factsOf(report) : []));
  const labels = [...new Set(facts.flat().map(([label]) => label))];
  return [
    row("state", pair.map(({ job }) => job.state)),
    row("progress", pair.map(({ job }) => progressWords(job))),
    row("goal", pair.map(({ job }) => goalWords(job.job.goal))),
    row("best plan", best.map((plan, i) => (plan ? planWords(plan, pair[i].job.job.goal) : ""))),
    ...labels.map((label) => row(label, facts.map((rows) => after(rows.find(([name]) => name === label))))),
    ...differences(...pair.map(({ job }) => flat(job.job))).map(([name, values]) => row(name, values, "asked")),
  ];
}

const after = (fact) => (fact ? [fact[2], fact[3]].filter(Boolean).join(", ") : "");

function row(label, cells, look) {
  const head = element("th", { scope: "row" }, label);
  return element("tr", { class: look }, head, cells.map((text) => element("td", {}, text)));
}

/** Return what was asked in one way of one job and in another way of the other. */
function differences(one, other) {
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return names.filter((name) => one[name] !== other[name]).map((name) => [name, [one[name] ?? "", other[name] ?? ""]]);
}

/** Return the fields of a job by their dotted paths, as text. */
function flat(value, path = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    return { [path]: Array.isArray(value) ? value.join(", ") : String(value) };
  }
  const parts = Object.entries(value).map(([name, inner]) => flat(inner, path ? `${path}.${name}` : name));
  return Object.assign({}, ...parts);
}
