// The form that submits a job: a few fields, and everything else as JSON.

import { getJson, request } from "./api.js";
import { element, notice, write } from "./dom.js";
import { faultOf, isNumber, ruleAt, valueOf } from "./field_rules.js";

const FIELDS = {
  name: "Name",
  model: "Model",
  "data.train": "Train manifest",
  "data.dev": "Dev manifest",
  "data.test": "Test manifest",
  "goal.compression_ratio": "Times smaller",
  "goal.max_wer_increase": "WER that may be lost",
};
const EXAMPLE = {
  name: "demo",
  model: "reference/las",
  "data.train": "data/commands/train.jsonl",
  "data.dev": "data/commands/dev.jsonl",
  "data.test": "data/commands/test.jsonl",
  "goal.compression_ratio": "5",
  "goal.max_wer_increase": "0.003",
};
const MORE = "more";
const MORE_HINT = "Any other field of a job, as the API describes them.";
const MORE_EXAMPLE = '{"search": {"evaluations": 30}, "finetune": {"epochs": 1}}';

/** Show the form; a job that is accepted is shown next. */
export async function submitView({ place, signal }) {
  place.replaceChildren(element("h1", {}, "Submit a job"));
  const [description, models] = await Promise.all([getJson("/openapi.json", signal), getJson("/v1/models", signal)]);
  const fields = Object.entries(FIELDS).map(([path, label]) => new Field(path, label, ruleAt(description, path)));
  const more = new Field(MORE, "Everything else, as JSON", { description: MORE_HINT }, "textarea");
  more.input.placeholder = MORE_EXAMPLE;
  fields.find((field) => field.path === "model").input.setAttribute("list", "models");
  const problem = element("div");
  const send = element("button", { type: "submit", class: "main" }, "Submit");
  const fill = () => fields.forEach((field) => field.fill(EXAMPLE[field.path]));
  const example = element("button", { type: "button", onclick: fill }, "Fill in the demo");
  const all = element("a", { href: "/docs#JobSpec" }, "All fields of a job");
  const form = element("form", { class: "job", novalidate: true },
    [...fields, more].map((field) => field.node),
    element("datalist", { id: "models" }, models.items.map((model) => element("option", { value: model.name }))),
    element("p", { class: "soft" }, "Paths lie on the server, in its first data folder. ", all),
    problem, element("div", { class: "buttons" }, send, example));
  place.append(form);
  const keys = new KeyPerBody();

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.replaceChildren();
    const faulty = [...fields, more].filter((field) => field.check() !== null);
    if (faulty.length) return faulty[0].input.focus();
    send.disabled = true;
    try {
      const body = JSON.stringify(jobOf(fields, more));
      const headers = { "Content-Type": "application/json", "Idempotency-Key": keys.of(body) };
      const job = await (await request("/v1/jobs", { method: "POST", body, headers, signal })).json();
      location.hash = `#/jobs/${encodeURIComponent(job.id)}`;
    } catch (error) {
      if (!signal.aborted) showProblem(error, fields, more, problem);
    } finally {
      send.disabled = false;
    }
  });
}

/** One field of the form: label, input, hint, and what is wrong with it. */
class Field {
  constructor(path, label, rule, tag = "input") {
    this.path = path;
    this.rule = rule;
    this.fault = element("p", { class: "fault", id: `${path}-fault` });
    const hint = element("p", { class: "soft", id: `${path}-hint` }, rule.description.replaceAll("`", ""));
    const kind = tag === "input" ? { type: "text", inputmode: isNumber(rule) ? "decimal" : null } : { rows: 5 };
    this.input = element(tag, {
      id: path, name: path, required: rule.required ?? false, autocomplete: "off", spellcheck: "false",
      "aria-describedby": `${path}-fault ${path}-hint`, ...kind,
    });
    // Told of a mistake when it submits, a form must not move then: a button that moves is not clicked.
    this.input.addEventListener("input", () => this.fault.textContent && this.check());
    if (rule.default !== undefined) this.input.value = rule.default;
    const needed = rule.required ? [] : [element("span", { class: "soft" }, " (optional)")];
    const named = element("label", { for: path }, label, needed);
    this.node = element("div", { class: "field" }, named, this.input, this.fault, hint);
  }

  get text() {
    return this.input.value.trim();
  }

  fill(text) {
    this.input.value = text;
    this.check();
  }

  /** Return what is wrong with the field, shown at it; null where nothing is. */
  check() {
    const fault = this.path === MORE ? objectFault(this.text) : faultOf(this.rule, this.text);
    this.tell(fault);
    return fault;
  }

  tell(fault) {
    write(this.fault, fault ?? "");
    this.input.setAttribute("aria-invalid", String(fault !== null));
  }
}

/** The idempotency keys: the same job sent again after an error is not another job. */
class KeyPerBody {
  of(body) {
    if (body !== this.body) {
      this.body = body;
      this.key = crypto.getRandomValues(new Uint32Array(4)).join("-"); // randomUUID wants HTTPS
    }
    return this.key;
  }
}

/** Return the job of the form: the fields beside what stands in JSON. */
function jobOf(fields, more) {
  const job = more.text ? JSON.parse(more.text) : {};
  for (const { path, rule, text } of fields) {
    const value = valueOf(rule, text);
    const names = path.split(".");
    const last = names.pop();
    let part = job;
    for (const name of names) part = part[name] ??= {};
    if (value !== undefined) part[last] = value;
  }
  return job;
}

/** Show every error of a problem document at the field that it names, and the rest above the button. */
function showProblem(error, fields, more, problem) {
  const named = error.errors?.length ? error.errors : [{ field: fieldOf(error, fields), message: error.detail }];
  for (const field of [...fields, more]) {
    const told = named.filter((one) => one.field === field.path).map((one) => one.message);
    if (told.length) field.tell(told.join(" "));
  }
  const elsewhere = named.filter((one) => one.field && !fields.some((field) => field.path === one.field));
  if (elsewhere.length) more.tell(elsewhere.map((one) => `${one.field}: ${one.message}`).join(" "));
  problem.replaceChildren(notice(error));
  [...fields, more].find((field) => field.fault.textContent)?.input.focus();
}

/** Return the field that a problem without fields is about: its detail begins with it, or tells the path in it. */
function fieldOf({ detail = "" }, fields) {
  const begins = fields.find((field) => detail.startsWith(`${field.path}: `));
  const paths = fields.filter((field) => /^(model|data\.)/.test(field.path) && field.text);
  const quoted = paths.filter((field) => detail.includes(field.text));
  return (begins ?? quoted.sort((a, b) => b.text.length - a.text.length)[0])?.path ?? null;
}

function objectFault(text) {
  if (text === "") return null;
  try {
    const value = JSON.parse(text);
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    return isObject ? null : 'Give an object: {"name": value}.';
  } catch (error) {
    return `This is no JSON: ${error.message}.`;
  }
}
