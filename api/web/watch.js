// Owns following one generation to its end: one connection after another, each continuing after the
// last event seen. Nothing is shown twice, out of order or with a hole: a connection that would do so
// is left, and the next one asks again from where we are. Knows no URL and no DOM.

import { isTerminal } from "./answer.js";
import { breathe, delayMs, onWake, pause } from "./backoff.js";
import { placeOf, stepTo } from "./cursor.js";
import { OutliveError, errorOf, isPassing, retryAfterMs } from "./errors.js";
import { FrameReader } from "./frames.js";

/** @typedef {import("./frames.js").OutliveEvent} OutliveEvent */
/**
 * What became of the connection: for showing, not for deciding.
 * @typedef {object} Connection
 * @property {"connecting" | "open" | "waiting" | "ended"} state
 * @property {number} failures connections lost in a row without an event between them
 * @property {number} waitMs until the next connection, while waiting
 */
/**
 * @typedef {object} WatchOptions
 * @property {string} [after] the last event id seen; everything from the start without it
 * @property {AbortSignal} [signal] ends the watching; never the generation
 * @property {(event: OutliveEvent) => void} [onEvent] starts at once and is told every event
 * @property {(connection: Connection) => void} [onConnection]
 * @property {number} [silenceMs] a connection without a byte for this long is dead; three heartbeats
 */
/** @typedef {(after: string | null, signal: AbortSignal) => Promise<Response>} Open */

const FIRST_RETRY_MS = 1_000;
const SILENCE_MS = 45_000;
// One read may bring a thousand events, and nothing is drawn before all of them are told.
const BUSY_MS = 8;

/** The connection is no good any more; another one may be. */
class Broken extends Error {}

/**
 * The events of one generation, to the terminal.
 * @param {Open} open
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<OutliveEvent, void, void>}
 * @throws {OutliveError} when the server refuses for good
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
 * One connection, to its end. Returns how long to wait before the next.
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
    if (isPassing(response.status)) {
      progress.failures += 1;
      return retryAfterMs(response) ?? delayMs(progress.failures, progress.retryMs);
    }
    if (!response.ok) throw await errorOf(response);
    // Somebody in between answers 200 with a page of his own: a hotel's login, a proxy's apology.
    if (!response.headers.get("content-type")?.startsWith("text/event-stream") || !response.body) throw new Broken();
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
          await breathe();
          begun = performance.now();
        }
      }
    }
    // In good order and without a terminal: we are sent elsewhere.
    return delayMs(0, progress.retryMs);
  } finally {
    guard.release();
  }
}

/**
 * Whether this event is to be told; moves the cursor.
 * @param {{ cursor: string | null }} progress
 * @param {OutliveEvent} event
 * @throws {Broken} when something before it is missing
 */
function advances(progress, { id, type, data }) {
  if (type === "reset") {
    progress.cursor = null;
    return true;
  }
  const place = placeOf(id ?? "");
  if (place === null) return false;
  const step = stepTo(progress.cursor === null ? null : placeOf(progress.cursor), place, data);
  if (step === "hole" || isBeyondCut(progress, type, data)) throw new Broken();
  if (step === "next") progress.cursor = id;
  return step === "next";
}

/**
 * Whether we have more than what counts: the server, asked again, says `reset`.
 * @param {{ cursor: string | null }} progress
 * @param {string} type
 * @param {any} data
 */
function isBeyondCut({ cursor }, type, data) {
  return isTerminal(type) && Boolean(data?.cut) && data.cut !== cursor;
}

/** Aborts one connection: when it is silent, when the caller left, when the network is another one. */
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
    // A timer stands still while a laptop sleeps; the clock on the wall does not.
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
   * @param {Promise<T>} work waits for the other side; while the caller thinks, nobody is late
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
