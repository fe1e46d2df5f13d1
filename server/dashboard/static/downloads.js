// Files of a job. A link cannot send a token: where there is one, fetch gets the file, and the browser saves it.

import { request } from "./api.js";
import { element, notice } from "./dom.js";
import { keptToken } from "./token.js";

const KEPT_S = 60; // for the browser to have saved what it was handed

/** Return a link that saves the file at `path` as `name`, or shows it in a tab of its own where it may. */
export function fileLink(path, name, words, { shown = false } = {}) {
  const how = shown ? { target: "_blank", rel: "noopener" } : { download: name };
  const link = element("a", { href: path, ...how }, words);
  link.addEventListener("click", (event) => {
    if (keptToken() === null) return;
    event.preventDefault();
    if (link.getAttribute("aria-busy") !== "true") fetched(link, path, name);
  });
  return link;
}

async function fetched(link, path, name) {
  link.setAttribute("aria-busy", "true");
  try {
    save(await (await request(path)).blob(), name);
  } catch (error) {
    link.after(notice(error));
  } finally {
    link.removeAttribute("aria-busy");
  }
}

function save(blob, name) {
  const href = URL.createObjectURL(blob);
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000 * KEPT_S);
}
