// One job, live.

import { findJson, getJson, jobPath } from "./api.js";
import { Chart } from "./chart.js";
import { element, notice, soft, speak, tell, write } from "./dom.js";
import { fileLink } from "./downloads.js";
import { follow } from "./events.js";
import { reportPart } from "./facts.js";
import { JobLog } from "./job_log.js";
import { layersTable } from "./layers.js";
import { LogList } from "./log_list.js";
import { bestOf, layersOf, layersOfReport } from "./plans.js";
import { actionsOf, badge, hasEnded, mark, progressWords } from "./states.js";
import { bytes, duration, goalWords, moment, planWords } from "./words.js";

const PLANS =
  "Every plan on the proxy set, before fine-tuning. Hollow ones were given up early: their WER is an estimate.";
const OF_BEST = "Of the best plan so far; a layer that it does not name stays as it is.";
const OF_RESULT = "Of the result; the pale bar ends at the rank up to which low rank saves weights.";
const TELLING = ["state", "stage_started", "stopped"]; // kinds of events after which the job itself has changed

/** Show the job that the address names, and what happens to it. */
export async function jobView({ place, parameters: [id], signal, restart }) {
  place.replaceChildren(element("h1", {}, id));
  const page = new JobPage(await getJson(jobPath(id), signal), restart);
  place.replaceChildren(page.node);
  await page.ended(signal); // a job that ended long ago has its result on the page at once
  await follow(id, {
    signal,
    onTrouble: (error) => page.trouble(error),
    onEvents: (events) => {
      page.take(events);
      const changed = events.some((event) => TELLING.includes(event.kind));
      if (changed) page.refresh(signal).catch((error) => page.trouble(error));
    },
  });
  await page.refresh(signal);
  await page.ended(signal);
}

/** The parts of the page of a job, each changed in place: what has the focus keeps it. */
class JobPage {
  #log = new JobLog();
  #report = null;
  #asked = 0;
  #drawing = false;

  constructor(job, restart) {
    this.job = job;
    this.restart = restart;
    this.state = badge(job.state);
    this.buttons = element("div", { class: "buttons" });
    this.problem = element("div");
    this.failure = element("div");
    this.bar = element("progress", { max: 1, "aria-label": "progress of the job" });
    this.done = element("p", { class: "soft" });
    this.best = element("p", {});
    this.now = element("div", { class: "now" }, this.bar, this.done, this.best);
    this.result = element("div");
    this.chart = new Chart();
    this.path = element("ol", { class: "path" });
    this.layers = element("div", { class: "scroll" });
    this.layersOf = element("p", { class: "soft" });
    this.files = element("div");
    this.list = new LogList();
    this.node = this.#laidOut();
    this.show(job);
    this.#draw();
  }

  #laidOut() {
    const { job } = this;
    const part = (title, ...content) => element("section", {}, element("h2", {}, title), content);
    return element("article", {},
      element("div", { class: "title" }, element("h1", { tabindex: -1 }, job.id, this.state), this.buttons),
      element("p", { class: "soft" }, `${goalWords(job.job.goal)} · submitted ${moment(job.transitions[0].at)}`),
      this.problem, this.failure,
      this.now,
      this.result, this.files,
      part("WER against size", element("p", { class: "soft" }, PLANS), this.chart.node),
      part("Stages", this.path),
      part("Layers", this.layersOf, this.layers),
      part("Events", this.list.node),
      element("details", {}, element("summary", {}, "The job"), element("pre", {}, JSON.stringify(job.job, null, 2))),
      element("p", {}, element("a", { href: `#/compare/${encodeURIComponent(job.id)}` }, "Compare with another job")));
  }

  /** Ask for the job and show it, unless it was asked for again meanwhile. */
  async refresh(signal) {
    const asked = ++this.#asked;
    const job = await getJson(jobPath(this.job.id), signal);
    if (asked === this.#asked) this.show(job);
  }

  /** Show the job as it is now. */
  show(job) {
    if (job.state !== this.job.state) speak(`The job is ${job.state}.`);
    this.job = job;
    mark(this.state, job.state);
    this.#offer(actionsOf(job));
    const { failure } = job;
    const where = failure?.stage ? ` (in stage ${failure.stage})` : "";
    tell(this.failure, failure && { ...failure, title: failure.title + where });
    this.#drawProgress(job.progress);
    this.#drawPath();
  }

  /** Take more events in. */
  take(events) {
    for (const event of events) {
      this.#log.add(event);
      if (event.kind === "stage_started" && !hasEnded(this.job)) speak(`${event.stage} started.`);
    }
    this.list.add(events);
    this.#drawSoon();
  }

  /** Tell of a trouble with the connection, or, with null, that it is over. */
  trouble(error) {
    tell(this.problem, error && { title: error.title, detail: `${error.detail} Trying again.` });
  }

  /** Where the job has ended: show what it left. */
  async ended(signal) {
    if (!hasEnded(this.job)) return;
    const { id, state } = this.job;
    const report = state === "succeeded" ? await findJson(jobPath(id, "/report"), signal) : null;
    const files = await getJson(jobPath(id, "/checkpoints"), signal);
    this.#report = report;
    this.result.replaceChildren(...(report ? [reportPart(report)] : []));
    this.files.replaceChildren(...this.#fileList(report, files.items));
    this.#draw();
  }

  #fileList(report, files) {
    const { id } = this.job;
    const page = fileLink(jobPath(id, "/report?format=html"), `${id}.html`, "Report", { shown: true });
    const items = files.map((file) => element("li", {},
      fileLink(file.url, file.name, `Download ${file.name}`),
      soft(bytes(file.bytes)),
      element("code", { class: "sum" }, `sha256 ${file.sha256}`)));
    if (report) items.unshift(element("li", {}, page, soft("a page with every figure")));
    return items.length ? [element("ul", { class: "files" }, items)] : [];
  }

  #offer(actions) {
    if (actions.map((action) => action.words).join() === this.offered) return;
    this.offered = actions.map((action) => action.words).join();
    this.buttons.replaceChildren(...actions.map((action) =>
      element("button", { type: "button", onclick: (event) => this.#act(action, event.currentTarget) }, action.words)));
  }

  async #act({ act, sure, then }, button) {
    if (sure && !confirm(sure)) return;
    button.disabled = true;
    try {
      const response = await act();
      if (then === "leave") location.hash = "#/";
      else if (then === "again") this.restart();
      else this.show(await response.json());
      this.node.querySelector("h1").focus(); // the button may be gone
    } catch (error) {
      this.problem.replaceChildren(notice(error));
    } finally {
      button.disabled = false;
    }
  }

  /** Draw before the screen shows the next picture: a long log comes in more pieces than anybody can see. */
  #drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
    });
  }

  #draw() {
    const { plans, original } = this.#log;
    const { goal } = this.job.job;
    const best = bestOf(plans);
    this.#drawProgress(this.#log.progress ?? this.job.progress);
    write(this.best, best ? `Best plan so far: ${planWords(best, goal)}` : "");
    this.chart.show({ series: [{ name: "plans", look: "one", plans, best }], original, goal: this.#log.wanted(goal) });
    this.#drawPath();
    this.#drawLayers(best);
  }

  #drawProgress(progress) {
    this.now.hidden = this.job.state === "succeeded"; // then its result is shown
    this.bar.hidden = !progress;
    if (progress) this.bar.value = progress.fraction;
    write(this.done, progressWords(this.job, progress));
  }

  #drawPath() {
    const ended = hasEnded(this.job);
    const open = ended ? { class: "stopped" } : { class: "now", "aria-current": "step" };
    this.path.replaceChildren(...[...this.#log.stages.values()].map(({ name, from, until, seconds }) => {
      const took = seconds ?? (new Date(until) - new Date(from)) / 1000;
      const words = until ? duration(took) : ended ? "not finished" : "now";
      return element("li", until ? { class: "done" } : open, name, soft(words));
    }));
  }

  #drawLayers(best) {
    const layers = this.#report ? layersOfReport(this.#report) : best ? layersOf(best) : [];
    const key = JSON.stringify(layers);
    if (key === this.drawnLayers) return;
    this.drawnLayers = key;
    const of = this.#report ? OF_RESULT : OF_BEST;
    write(this.layersOf, layers.length ? of : "No plan says yet what becomes of each layer.");
    this.layers.replaceChildren(...(layers.length ? [layersTable(layers)] : []));
  }
}
