// Numbers and choices in words, as the reports write them.

const BYTES = ["bytes", "kB", "MB", "GB"];

/** Return a number with three digits that tell something: 5.04321 as "5.04", 20 as "20". */
export const short = (number) => String(Number(number.toPrecision(3)));

/** Return 0.0123 as "1.23 %". */
export const percent = (share) => `${(100 * share).toFixed(2)}\u00a0%`;

/** Return 5.04 as "5.04x". */
export const times = (ratio) => `${short(ratio)}x`;

/** Return 75.2 as "1:15". */
export function duration(seconds) {
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Return 1071902 as "1.07 M". */
export function count(number) {
  if (number >= 1e6) return `${short(number / 1e6)} M`;
  return number >= 1e4 ? `${short(number / 1e3)} k` : short(number);
}

/** Return 2152960 as "2.15 MB". */
export function bytes(number) {
  const power = Math.min(BYTES.length - 1, Math.floor(Math.log10(Math.max(1, number)) / 3));
  return power === 0 ? `${number} bytes` : `${short(number / 1000 ** power)} ${BYTES[power]}`;
}

/** Return a moment in the reader's own time and form. */
export const moment = (iso) => new Date(iso).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

/** Return the time of day of a moment. */
export const clock = (iso) => new Date(iso).toLocaleTimeString();

/** Return the goal of a job: "5x smaller, at most 0.3 points of WER lost". */
export function goalWords(goal) {
  const points = Number((100 * goal.max_wer_increase).toPrecision(6));
  const saved = goal.resource ? ` in ${goal.resource}` : "";
  return `${times(goal.compression_ratio)} smaller${saved}, at most ${points} points of WER lost`;
}

/** Return a plan as "2.10 % WER at 5.04x", and how that stands to the goal of its job where it needs to be said. */
export function planWords({ wer, ratio, parameters }, goal) {
  if (!ratio) return `${percent(wer)} WER at ${count(parameters)} parameters`;
  const words = `${percent(wer)} WER at ${times(ratio)}`;
  if (goal?.resource) return `${words} in parameters`;
  return goal && ratio < goal.compression_ratio ? `${words}, on the way to ${times(goal.compression_ratio)}` : words;
}

/** Return what becomes of a matrix: "24 with identity, 4 bits", "dense, 70 % zeros". */
export function choiceWords(choice) {
  if (choice.dropped) return "left out";
  const rank = choice.rank ? `${choice.rank}${choice.identity ? " with identity" : ""}` : "dense";
  const units = choice.units ?? choice.outputs ?? choice.inputs;
  return [
    rank,
    units && `${units} units`,
    choice.sparsity && `${Math.round(100 * choice.sparsity)} % zeros`,
    choice.bits && `${choice.bits} bits`,
  ].filter(Boolean).join(", ");
}
