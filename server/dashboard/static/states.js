// States of jobs, and what may be asked of one in each.

import { jobPath, request } from "./api.js";
import { element, write } from "./dom.js";
import { duration } from "./words.js";

const ENDED = ["succeeded", "failed", "cancelled"];

/** Return true where nothing happens any more unless somebody resumes the job. */
export const hasEnded = (job) => ENDED.includes(job.state);

/** Return a mark that shows a state; `mark` changes one. */
export const badge = (state) => mark(element("span", {}), state);

/** Have a mark show `state`. */
export function mark(node, state) {
  node.className = `badge ${state}`;
  write(node, state);
  return node;
}

/** Return how far a job has come: "search-1: 42 %, 12 of 30 plans, 1:15 left"; without time left where it has ended. */
export function progressWords(job, progress = job.progress) {
  if (!progress) return "";
  const { fraction, evaluations_done: done, evaluations_total: total, seconds_left: left } = progress;
  const goesOn = !hasEnded(job);
  const words = [
    `${Math.floor(100 * fraction)} %`,
    total && `${done} of ${total} plans`,
    goesOn && left !== null && `${duration(left)} left`,
  ].filter(Boolean).join(", ");
  return goesOn && job.stage ? `${job.stage.name}: ${words}` : words;
}

/** Return what may be asked of the job now: the words of a button, what it does, and what is shown then. */
export function actionsOf(job) {
  const post = (part) => () => request(jobPath(job.id, part), { method: "POST" });
  return [
    ["queued", "running"].includes(job.state) && { words: "Cancel", then: "show", act: post("/cancel") },
    ["failed", "cancelled"].includes(job.state) && { words: "Resume", then: "again", act: post("/resume") },
    hasEnded(job) && {
      words: "Delete",
      sure: `Delete ${job.id}, and all that it left on the server?`,
      then: "leave",
      act: () => request(jobPath(job.id), { method: "DELETE" }),
    },
  ].filter(Boolean);
}
