// The page: which view its address asks for, one at a time.

import { compareView } from "./compare_view.js";
import { notice, write } from "./dom.js";
import { jobView } from "./job_view.js";
import { jobsView } from "./jobs_view.js";
import { submitView } from "./submit_view.js";
import { offerToForget } from "./token.js";

const VIEWS = [
  [/^(?:#\/?)?$/, "Jobs", jobsView],
  [/^#\/jobs\/([^/]+)$/, "Job", jobView],
  [/^#\/submit$/, "Submit", submitView],
  [/^#\/compare(?:\/([^/]*))?(?:\/([^/]*))?$/, "Compare", compareView],
];
const place = document.getElementById("main");
let shown = new AbortController();

/** Leave the view that is shown and show that of the address. */
async function show() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const [pattern, title, view] = VIEWS.find(([pattern]) => pattern.test(location.hash)) ?? VIEWS[0];
  const parameters = (pattern.exec(location.hash) ?? []).slice(1).map((text) => text && decodeURIComponent(text));
  write(document.querySelector("title"), `${title} · ShrinkML`);
  markNavigation(title);
  try {
    await view({ place, parameters, signal, restart: show });
  } catch (error) {
    if (!signal.aborted) place.append(notice({ title: error.title ?? "The dashboard failed", detail: error.message }));
  }
}

function markNavigation(title) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.textContent === title) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

window.addEventListener("hashchange", () => {
  show();
  window.scrollTo(0, 0);
  place.focus({ preventScroll: true }); // so that Tab goes on in the new view, and screen readers begin to read it
});
offerToForget();
show();
