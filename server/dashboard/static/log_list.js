// The list of a job's events, the newest on top.

import { element } from "./dom.js";
import { clock } from "./words.js";

const MOST = 200; // lines; the API has them all

/** A list of events that may leave the plans out, of which there are hundreds. */
export class LogList {
  #events = [];

  constructor() {
    this.list = element("ol", { class: "log", tabindex: 0, "aria-label": "events, the newest first" });
    this.plans = element("input", { type: "checkbox", onchange: () => this.#fill() });
    this.node = element("div", {}, element("label", { class: "choice" }, this.plans, "every plan too"), this.list);
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
    const told = this.plans.checked ? events : events.filter((event) => event.kind !== "evaluated");
    return told.slice(-MOST).reverse().map((event) =>
      element("li", { class: event.kind },
        element("time", { datetime: event.at }, clock(event.at)),
        element("span", {}, event.message)));
  }
}
