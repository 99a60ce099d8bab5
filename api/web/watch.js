// Owns following one generation to its end: one connection after another, each from the last event seen. The caller
// gets no event twice, out of order or after a hole: a connection that would do so is closed, and the next one
// resumes from the last event. Knows no URL and no DOM.

import { isTerminal } from "./answer.js";
import { yieldToBrowser, delayMs, onWake, pause } from "./backoff.js";
import { positionOf, stepTo } from "./cursor.js";
import { OutliveError, errorOf, isTransient, retryAfterMs } from "./errors.js";
import { FrameReader } from "./frames.js";

/** @typedef {import("./frames.js").OutliveEvent} OutliveEvent */
/**
 * The state of the connection, to be shown to people.
 * @typedef {object} Connection
 * @property {"connecting" | "open" | "waiting" | "ended"} state
 * @property {number} failures lost connections in a row, without an event in between
 * @property {number} waitMs time until the next connection, in state `waiting`
 */
/**
 * @typedef {object} WatchOptions
 * @property {string} [after] the id of the last event seen; without it everything from the start
 * @property {AbortSignal} [signal] ends watching, never the generation
 * @property {(event: OutliveEvent) => void} [onEvent] called with every event; with it watching starts at once
 * @property {(connection: Connection) => void} [onConnection]
 * @property {number} [silenceMs] a connection without a byte for this long counts as dead; by default three heartbeats
 */
/** @typedef {(after: string | null, signal: AbortSignal) => Promise<Response>} Open */

const FIRST_RETRY_MS = 1_000;
const SILENCE_MS = 45_000;
// One read may bring a thousand events. Without a pause the browser would draw nothing until all are handled.
const BUSY_MS = 8;

/** This connection cannot be used any more; a new one may work. */
class BrokenConnection extends Error {}

/**
 * The events of one generation, until the terminal.
 * @param {Open} open
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<OutliveEvent, void, void>}
 * @throws {OutliveError} if the server refuses for good
 */
export async function* follow(open, options) {
  const { signal, onConnection = () => {} } = options;
  const progress = { cursor: options.after || null, retryMs: FIRST_RETRY_MS, failures: 0, isDone: false };
  while (!signal?.aborted) {
    onConnection({ state: "connecting", failures: progress.failures, waitMs: 0 });
    let waitMs;
    try {
      waitMs = yield* connect(open, options, progress);
    } catch (error) {
      if (error instanceof OutliveError) throw error;
      progress.failures += 1;
      waitMs = delayMs(progress.failures, progress.retryMs);
    }
    if (progress.isDone) break;
    if (signal?.aborted) return;
    onConnection({ state: "waiting", failures: progress.failures, waitMs });
    await pause(waitMs, signal);
  }
  if (progress.isDone) onConnection({ state: "ended", failures: 0, waitMs: 0 });
}

/**
 * One connection, until its end. Returns how long to wait before the next one, in milliseconds.
 * @param {Open} open
 * @param {WatchOptions} options
 * @param {{ cursor: string | null, retryMs: number, failures: number, isDone: boolean }} progress
 * @returns {AsyncGenerator<OutliveEvent, number, void>}
 */
async function* connect(open, { signal, silenceMs = SILENCE_MS, onConnection = () => {} }, progress) {
  const guard = new Guard(silenceMs, signal);
  try {
    const response = await guard.during(open(progress.cursor, guard.signal));
    if (response.status === 204) {
      progress.isDone = true;
      return 0;
    }
    if (isTransient(response.status)) {
      progress.failures += 1;
      return retryAfterMs(response) ?? delayMs(progress.failures, progress.retryMs);
    }
    if (!response.ok) throw await errorOf(response);
    // Something in between may respond 200 with its own page: the login of a hotel, the error page of a proxy.
    if (!response.headers.get("content-type")?.startsWith("text/event-stream") || !response.body) throw new BrokenConnection();
    onConnection({ state: "open", failures: progress.failures, waitMs: 0 });
    const reader = response.body.getReader();
    const frames = new FrameReader();
    for (;;) {
      const { done, value } = await guard.during(reader.read());
      if (done) break;
      const events = frames.feed(value);
      progress.retryMs = frames.retryMs ?? progress.retryMs;
      let begun = performance.now();
      for (const event of events) {
        if (!advances(progress, event)) continue;
        progress.failures = 0;
        progress.isDone = isTerminal(event.type);
        yield event;
        if (progress.isDone || signal?.aborted) return 0;
        if (performance.now() - begun > BUSY_MS) {
          await yieldToBrowser();
          begun = performance.now();
        }
      }
    }
    // The server closed the stream cleanly without a terminal: it sends us to another process.
    return delayMs(0, progress.retryMs);
  } finally {
    guard.release();
  }
}

/**
 * Whether the caller gets this event; moves the cursor.
 * @param {{ cursor: string | null }} progress
 * @param {OutliveEvent} event
 * @throws {BrokenConnection} if an event before it is missing
 */
function advances(progress, { id, type, data }) {
  if (type === "reset") {
    progress.cursor = null;
    return true;
  }
  const position = positionOf(id ?? "");
  if (position === null) return false;
  const step = stepTo(progress.cursor === null ? null : positionOf(progress.cursor), position, data);
  if (step === "hole" || isBeyondCut(progress, type, data)) throw new BrokenConnection();
  if (step === "next") progress.cursor = id;
  return step === "next";
}

/**
 * Whether this client has events after the cut. The next connection then gets `reset` from the server.
 * @param {{ cursor: string | null }} progress
 * @param {string} type
 * @param {any} data
 */
function isBeyondCut({ cursor }, type, data) {
  return isTerminal(type) && Boolean(data?.cut) && data.cut !== cursor;
}

/** Aborts one connection if it is silent, if the caller leaves, or if the network may have changed. */
class Guard {
  #controller = new AbortController();
  #heardAt = Date.now();
  #silenceMs;
  #stops;

  /** @param {number} silenceMs @param {AbortSignal} [signal] */
  constructor(silenceMs, signal) {
    this.#silenceMs = silenceMs;
    const leave = () => this.#controller.abort();
    signal?.addEventListener("abort", leave);
    // While a laptop sleeps, timers do not run; the time of day goes on.
    const stopWaking = onWake(() => { if (Date.now() - this.#heardAt > silenceMs) leave(); });
    this.#stops = () => {
      signal?.removeEventListener("abort", leave);
      stopWaking();
    };
    if (signal?.aborted) leave();
  }

  get signal() {
    return this.#controller.signal;
  }

  /**
   * @template T
   * @param {Promise<T>} work a wait for the server; the silence limit counts only meanwhile
   * @returns {Promise<T>}
   */
  async during(work) {
    const timer = setTimeout(() => this.#controller.abort(), this.#silenceMs);
    try {
      return await work;
    } finally {
      clearTimeout(timer);
      this.#heardAt = Date.now();
    }
  }

  release() {
    this.#stops();
    this.#controller.abort();
  }
}
