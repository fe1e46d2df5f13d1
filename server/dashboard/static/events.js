// A job's log, followed as server-sent events. EventSource cannot send a token, so fetch reads the stream.

import { jobPath, request } from "./api.js";
import { pause } from "./waiting.js";

const FIRST_PAUSE_S = 0.5;
const LONGEST_PAUSE_S = 15;

/** Hand every event of a job to `onEvents`, those of a piece of the stream together, until the job has ended.
 *
 * A broken stream goes on behind the last event that came; `onTrouble` hears why it broke, and null when it is well.
 */
export async function follow(id, { onEvents, onTrouble, signal }) {
  let last = 0;
  let wait = FIRST_PAUSE_S;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(last) };
      const response = await request(jobPath(id, "/events"), { headers, signal });
      onTrouble(null);
      if (response.status === 204) return; // the job has ended, and all of its events came
      for await (const events of pieces(response.body)) {
        last = events.at(-1).sequence;
        wait = FIRST_PAUSE_S;
        onEvents(events);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.passes === false) throw error;
      if (error.passes) onTrouble(error); // all else is a stream that broke off
    }
    await pause(wait, signal);
    wait = Math.min(2 * wait, LONGEST_PAUSE_S);
  }
}

async function* pieces(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (text + value).split(/\r?\n\r?\n/);
    text = blocks.pop(); // not whole yet
    const events = blocks.map(dataOf).filter(Boolean).map((data) => JSON.parse(data));
    if (events.length) yield events;
  }
}

/** Return the data of one server-sent event; nothing for a comment, which only keeps the connection open. */
function dataOf(block) {
  const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trimStart()).join("\n");
}
