// transformers.js for stock_runtimes.py: `node stock_worker.mjs FOLDER PRECISION`, as stock_worker.py. It looks for the
// package in the working directory.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, resolve } from "node:path";
import { createInterface } from "node:readline";

const { pipeline, env } = createRequire(resolve("package.json"))("@huggingface/transformers");
const [folder, precision] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(folder));
const transcribe = await pipeline("automatic-speech-recognition", basename(folder), {
  dtype: precision === "int8" ? "q8" : "fp32",
  session_options: { intraOpNumThreads: 1 },
});
console.log(JSON.stringify({ opened: "transformers.js" }));
for await (const line of createInterface({ input: process.stdin })) {
  const file = readFileSync(line.trim());
  const start = 10 + file.readUInt16LE(8); // of numpy's format 1.0: what it says of itself, then the samples
  const waveform = new Float32Array(file.buffer.slice(file.byteOffset + start, file.byteOffset + file.length));
  const began = process.cpuUsage();
  const { text } = await transcribe(waveform);
  const { user, system } = process.cpuUsage(began);
  console.log(JSON.stringify({ text: text.trim(), seconds: (user + system) / 1e6 }));
}
