// Owns the only exception of the client: the server refused a request, with a stable code.

/** The server refused a request. The same request would be refused again. */
export class OutliveError extends Error {
  name = "OutliveError";

  /** @param {number} status HTTP @param {string} code stable, see PROTOCOL.md @param {string} message for people */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Whether a retry may help: the server, or something in front of it, cannot serve the request now.
 * @param {number} status
 */
export function isTransient(status) {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

/**
 * The error in a response. Its body may come from another server: proxies send HTML.
 * @param {Response} response
 * @returns {Promise<OutliveError>}
 */
export async function errorOf(response) {
  const problem = await response.json().catch(() => null);
  return new OutliveError(
    response.status,
    typeof problem?.code === "string" ? problem.code : "unexpected_answer",
    typeof problem?.detail === "string" ? problem.detail : `The server responded with status ${response.status} and without a reason.`,
  );
}

/**
 * The `Retry-After` of a response in milliseconds; null if it is missing or not a number.
 * @param {Response} response
 */
export function retryAfterMs(response) {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return seconds >= 0 ? seconds * 1000 : null;
}
