// Owns the one exception of the client: what the server refused, in its own stable words.

/** A request that the server answered, and will not answer otherwise when asked again. */
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
 * Whether asking again may help: the server, or something in front of it, cannot answer now.
 * @param {number} status
 */
export function isPassing(status) {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

/**
 * The error in a response's body, which may be anybody's: a proxy answers in HTML.
 * @param {Response} response
 * @returns {Promise<OutliveError>}
 */
export async function errorOf(response) {
  const problem = await response.json().catch(() => null);
  return new OutliveError(
    response.status,
    typeof problem?.code === "string" ? problem.code : "unexpected_answer",
    typeof problem?.detail === "string" ? problem.detail : `The server answered ${response.status}.`,
  );
}

/**
 * The `Retry-After` of a response in milliseconds; null when there is none that can be read.
 * @param {Response} response
 */
export function retryAfterMs(response) {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return seconds >= 0 ? seconds * 1000 : null;
}
