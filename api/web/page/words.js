// Owns the texts by which the page says what happens. Pure.

/** @typedef {import("../outlive.js").Answer} Answer */
/** @typedef {import("../outlive.js").Connection} Connection */

/** @type {Record<string, string>} */
const RESTARTS = {
  worker_lost: "The worker was lost. Another worker starts the answer again.",
  worker_shutdown: "The worker was replaced. Another worker starts the answer again.",
  upstream_interrupted: "The provider broke off. The worker starts the answer again.",
};

/** @type {Record<string, string>} */
const FINISHES = {
  length: "The answer ends here because it reached its length limit.",
  content_filter: "The provider's content filter ended the answer.",
  tool_calls: "The model waits for the results of these tools.",
};

/** @param {string} reason why there is a new attempt @returns {string} */
export function restartWords(reason) {
  return RESTARTS[reason] ?? "The answer starts again.";
}

/** @param {Connection} connection @returns {string} empty if the connection is fine */
export function connectionWords({ state, failures }) {
  const isOffline = globalThis.navigator?.onLine === false;
  if (state === "waiting" || (state === "connecting" && failures > 0)) {
    return isOffline ? "You are offline. The answer continues on the server." : "Reconnecting… The answer continues on the server.";
  }
  return "";
}

/** @param {Answer} answer @returns {string} what happens now */
export function stateWords(answer) {
  if (answer.status === "queued") return "Waiting for a worker…";
  if (answer.toolCalls.some((call) => call.done && !call.result)) return "Running tools…";
  if (answer.text || answer.refusal || Object.hasOwn(answer.json, "output")) return "Answering…";
  return answer.reasoning ? "Thinking…" : "Starting…";
}

/** @param {Answer} answer @returns {string} how it ended, if that is not obvious */
export function endWords(answer) {
  if (answer.status === "cancelled") return "Stopped.";
  if (answer.status === "failed") return `${answer.error?.message ?? "The answer failed."}`;
  if (answer.violations.length) return `The result does not match its schema: ${answer.violations[0].message}`;
  if (answer.finishReason === "tool_calls" && answer.toolCalls.every((call) => call.result)) return "";
  return FINISHES[answer.finishReason ?? ""] ?? "";
}

/**
 * @param {{ seconds: number, tokens: number, usage: Record<string, any> | null }} measured
 * @returns {string[]}
 */
export function measureWords({ seconds, tokens, usage }) {
  const words = [`${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`];
  const counted = usage?.completion_tokens ?? tokens;
  if (counted > 0) {
    words.push(`${usage?.estimated ? "about " : ""}${counted.toLocaleString("en")} tokens`);
    if (seconds >= 1) words.push(`${Math.round(counted / seconds)} tokens/s`);
  }
  if (usage?.prompt_tokens) words.push(`${usage.prompt_tokens.toLocaleString("en")} in the prompt`);
  return words;
}

/** @param {number} viewers including this one @returns {string} */
export function viewerWords(viewers) {
  return viewers === 1 ? "1 viewer" : `${viewers} viewers`;
}

/** @param {number} unixSeconds @param {number} [now] ms @returns {string} */
export function agoWords(unixSeconds, now = Date.now()) {
  const minutes = Math.max(0, Math.floor((now / 1000 - unixSeconds) / 60));
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  return minutes < 1_440 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} d`;
}
