// The rules of a job's fields, from the API's own description: the page has none of its own.

/** Return the schema of the field at a dotted path, and whether it must be given. */
export function ruleAt(description, path) {
  const schemas = description.components.schemas;
  let schema = schemas.JobSpec;
  let required = true;
  for (const name of path.split(".")) {
    required = required && (schema.required ?? []).includes(name);
    schema = resolved(schema.properties[name], schemas);
  }
  return { ...schema, required };
}

/** Return what is wrong with the text of a field; null where the API would take it, as far as its description says. */
export function faultOf(rule, text) {
  if (text === "") return rule.required ? "This is needed." : null;
  return isNumber(rule) ? numberFault(rule, Number(text)) : textFault(rule, text);
}

/** Return the text of a field as the value that the API takes; undefined where there is none. */
export function valueOf(rule, text) {
  if (text === "") return undefined;
  return isNumber(rule) ? Number(text) : text;
}

/** Return true where a field takes a number. */
export const isNumber = (rule) => ["number", "integer"].includes(rule.type);

function resolved(schema, schemas) {
  const [choice] = (schema.anyOf ?? []).filter((one) => one.type !== "null");
  const found = choice ? { ...choice, ...schema } : schema;
  return found.$ref ? { ...schemas[found.$ref.split("/").at(-1)], ...found } : found;
}

function numberFault(rule, number) {
  if (Number.isNaN(number)) return "This is no number.";
  if (number <= rule.exclusiveMinimum) return `Give more than ${rule.exclusiveMinimum}.`; // undefined is never reached
  if (number < rule.minimum) return `Give ${rule.minimum} or more.`;
  if (number > rule.maximum) return `Give ${rule.maximum} or less.`;
  return null;
}

function textFault(rule, text) {
  if (text.length > rule.maxLength) return `Give at most ${rule.maxLength} characters.`;
  if (rule.pattern && !new RegExp(rule.pattern, "u").test(text)) return `Allowed: what matches ${rule.pattern}`;
  return null;
}
