// Requests to the public API, and its problem documents as errors.

import { askForToken, keptToken } from "./token.js";

/** A problem document (RFC 9457) that the server answered with, or the like where no answer came. */
export class ProblemError extends Error {
  constructor(problem, status = 0, retryAfter = null) {
    super(problem.detail);
    this.title = problem.title;
    this.detail = problem.detail;
    this.type = problem.type ?? "";
    this.errors = problem.errors ?? [];
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** True where the same request may do better later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Return the server's answer to a request; asks for a token where the server does.
 *
 * Throws a ProblemError for every answer that is none of success.
 */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const token = keptToken();
  const authorization = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await sent(path, { method, body, headers: { ...headers, ...authorization }, signal });
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status !== 401) throw problem;
  if (keptToken() === token) await askForToken(problem); // otherwise another request has asked meanwhile
  return request(path, { method, body, headers, signal });
}

/** Return what the server answers in JSON. */
export async function getJson(path, signal) {
  return (await request(path, { signal })).json();
}

/** Return the JSON at `path`; null where there is none, or none yet. */
export async function findJson(path, signal) {
  try {
    return await getJson(path, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Return the path of a job, or of a part of it. */
export const jobPath = (id, part = "") => `/v1/jobs/${encodeURIComponent(id)}${part}`;

async function sent(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", redirect: "error" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    const detail = "The server cannot be reached; it may be stopped, or the network is gone.";
    throw new ProblemError({ title: "No answer", detail });
  }
}

async function problemOf(response) {
  const wait = Number(response.headers.get("Retry-After")) || null;
  try {
    return new ProblemError(await response.json(), response.status, wait);
  } catch {
    const detail = `The answer was ${response.status} ${response.statusText}, and nothing that says why.`;
    return new ProblemError({ title: "Unexpected answer", detail }, response.status, wait);
  }
}
