// The list of jobs, the newest first, kept up to date.

import { findJson, getJson, jobPath } from "./api.js";
import { element, jobLink, soft, table, tell, write } from "./dom.js";
import { bestOf, plansOf } from "./plans.js";
import { badge, mark, progressWords } from "./states.js";
import { repeat } from "./waiting.js";
import { goalWords, moment, planWords } from "./words.js";

const PER_PAGE = 20;
const EVERY_S = 3;
const NEWEST = `/v1/jobs?limit=${PER_PAGE}`;
const COLUMNS = ["Job", "State", "Progress", "Best plan so far"];

/** Show the jobs of the server. */
export async function jobsView({ place, signal }) {
  const trouble = element("div");
  const health = element("div");
  const body = element("tbody", { onkeydown: moveByArrows });
  const older = element("button", { type: "button", hidden: true }, "Older jobs");
  const newest = element("button", { type: "button", hidden: true }, "Newest jobs");
  const empty = element("p", { class: "soft", hidden: true }, "No job yet.");
  const form = element("a", { class: "button main", href: "#/submit" }, "Submit a job");
  place.replaceChildren(
    element("div", { class: "title" }, element("h1", {}, "Jobs"), form),
    trouble, health, table(COLUMNS, body, "jobs"),
    empty, element("p", { class: "buttons" }, newest, older),
  );
  const rows = new Map();
  let address = NEWEST;

  async function refresh() {
    const asked = address;
    const [page, well] = await Promise.all([getJson(asked, signal), healthWords(signal)]);
    if (asked !== address) return;
    const shown = page.items.map((job) => rows.get(job.id) ?? newRow(job));
    page.items.forEach((job, i) => { rows.set(job.id, shown[i]); shown[i].show(job); });
    if (shown.some((row, i) => body.children[i] !== row.node) || body.children.length !== shown.length) {
      body.replaceChildren(...shown.map((row) => row.node));
    }
    write(health, well);
    health.className = well ? "notice mild" : "";
    empty.hidden = page.items.length > 0;
    older.hidden = page.next === null;
    older.onclick = () => turn(page.next);
    newest.hidden = asked === NEWEST;
    newest.onclick = () => turn(NEWEST);
    for (const row of shown) await row.judge(signal);
  }

  function turn(to) {
    address = to;
    refresh().catch((error) => tell(trouble, error));
  }

  await repeat(refresh, EVERY_S, { signal, onTrouble: (error) => tell(trouble, error) });
}

function newRow(job) {
  const state = badge(job.state);
  const bar = element("progress", { max: 1, "aria-label": `progress of ${job.id}` });
  const done = soft("");
  const best = element("td", { class: "best", "data-head": COLUMNS[3] });
  const node = element("tr", {},
    element("th", { scope: "row" },
      jobLink(job.id), soft(goalWords(job.job.goal)), soft(moment(job.transitions[0].at))),
    element("td", {}, state), element("td", { class: "progress" }, bar, done), best);
  let judged = null;

  function show(now) {
    job = now;
    mark(state, job.state);
    bar.value = job.progress?.fraction ?? 0;
    bar.hidden = job.progress === null;
    write(done, progressWords(job));
  }

  /** Ask for the best plan, unless no plan was judged since it was asked for. */
  async function judge(signal) {
    const n = job.progress?.evaluations_done ?? 0;
    if (n === judged) return;
    const candidates = n ? await findJson(jobPath(job.id, "/candidates"), signal) : null;
    const plan = candidates && bestOf(plansOf(candidates));
    write(best, plan ? planWords(plan, job.job.goal) : "");
    judged = n;
  }

  return { node, show, judge };
}

/** Go up and down in the list by the arrow keys. */
function moveByArrows(event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const links = [...event.currentTarget.querySelectorAll("th a")];
  const next = links[links.indexOf(document.activeElement) + step];
  if (step && next) {
    next.focus();
    event.preventDefault();
  }
}

async function healthWords(signal) {
  const response = await fetch("/readyz", { signal, cache: "no-store" }).catch(() => null);
  const { checks = [] } = response?.status === 503 ? await response.json() : {};
  const troubles = checks.filter((check) => !check.ok).map((check) => check.why);
  return troubles.length ? `Jobs wait: ${troubles.join("; ")}.` : "";
}
