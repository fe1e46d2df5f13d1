// The list of a job's events, the newest on top.

import { element } from "./dom.js";
import { clock } from "./words.js";

const MOST = 200; // lines; the API has them all
// Kinds of events that are a line each, as in the logs of the command line; of the others there are hundreds.
const TOLD = ["state", "stage_started", "stage_finished", "epoch", "timed", "stopped"];

/** A list of events that tells the larger ones, or, asked to, every one. */
export class LogList {
  #events = [];

  constructor() {
    this.list = element("ol", { class: "log", tabindex: 0, "aria-label": "events, the newest first" });
    this.every = element("input", { type: "checkbox", onchange: () => this.#fill() });
    this.node = element("div", {}, element("label", { class: "choice" }, this.every, "every event"), this.list);
  }

  /** Show more events. */
  add(events) {
    this.#events.push(...events);
    this.list.prepend(...this.#lines(events));
    while (this.list.children.length > MOST) this.list.lastChild.remove();
  }

  #fill() {
    this.list.replaceChildren(...this.#lines(this.#events));
  }

  #lines(events) {
    const told = this.every.checked ? events : events.filter((event) => TOLD.includes(event.kind));
    return told.slice(-MOST).reverse().map((event) =>
      element("li", { class: event.kind },
        element("time", { datetime: event.at }, clock(event.at)),
        element("span", {}, event.message)));
  }
}
