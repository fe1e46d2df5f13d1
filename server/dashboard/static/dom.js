// Elements made of plain text: nothing that comes from a job is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element. Attributes called `on...` are listeners; true is an empty one, null and false are none. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (isThere(value)) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(isThere));
  return node;
}

const isThere = (value) => value !== null && value !== undefined && value !== false;

/** Show `text` in `node`, and leave it alone where it is there already. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Return a box that tells of a problem at once, to screen readers too. */
export function notice(problem) {
  const words = [problem.detail, problem.hint].filter(Boolean).map((text) => element("p", {}, text));
  return element("div", { class: "notice", role: "alert" }, element("strong", {}, problem.title), words);
}

/** Show a problem in `place`, or, with null, nothing. */
export function tell(place, problem) {
  place.replaceChildren(...(problem ? [notice(problem)] : []));
}

/** Return a table of `body` under these heads. */
export function table(heads, body, look = null) {
  const head = element("tr", {}, heads.map((text) => element("th", { scope: "col" }, text)));
  return element("table", { class: look }, element("thead", {}, head), body);
}

/** Return words of less weight. */
export const soft = (words) => element("span", { class: "soft" }, words);

/** Return a link to the page of a job. */
export const jobLink = (id) => element("a", { href: `#/jobs/${encodeURIComponent(id)}` }, id);

/** Have screen readers say `text` when they have finished what they say. */
export function speak(text) {
  write(document.getElementById("spoken"), text);
}
