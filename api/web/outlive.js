// Owns the client: the HTTP of generations as functions. `watch` reconnects by itself, see watch.js.

import { pause } from "./backoff.js";
import { OutliveError, errorOf, isTransient, retryAfterMs } from "./errors.js";
import { follow } from "./watch.js";

export { Answer, isTerminal } from "./answer.js";
export { OutliveError } from "./errors.js";

/** @typedef {import("./frames.js").OutliveEvent} OutliveEvent */
/** @typedef {import("./watch.js").WatchOptions} WatchOptions */
/** @typedef {import("./watch.js").Connection} Connection */
/** @typedef {import("./answer.js").Status} Status */
/** @typedef {import("./answer.js").ToolCall} ToolCall */
/** @typedef {{ id: string, status: Status, model: string, created_at: number, urls: Record<string, string> }} Created */
/**
 * @typedef {object} Listed
 * @property {string} id
 * @property {Status} status
 * @property {string} model
 * @property {number} attempt
 * @property {Record<string, any>} metadata
 * @property {number} created_at
 * @property {number | null} started_at
 * @property {number | null} finished_at
 */
/** @typedef {{ generations: Listed[], next: string | null }} Page */
/**
 * @typedef {object} Options
 * @property {string} [baseUrl] of the API; without it the server of the page
 * @property {Record<string, string>} [headers] sent with every request
 * @property {typeof fetch} [fetch] used instead of the global one
 */

const TRIES = 4;
const RETRY_MS = 500;

/** The client of one Outlive server. */
export class Outlive {
  #base;
  #headers;
  #fetch;

  /** @param {Options} [options] */
  constructor({ baseUrl = "", headers = {}, fetch = globalThis.fetch } = {}) {
    this.#base = `${baseUrl.replace(/\/$/, "")}/v1/generations`;
    this.#headers = headers;
    // Called without a receiver, as browsers require.
    this.#fetch = /** @type {typeof globalThis.fetch} */ ((...request) => fetch(...request));
  }

  /**
   * Create a generation. Retries while the server cannot be reached; one key makes sure that only one is created.
   * @param {Record<string, any>} request an OpenAI Chat Completions request, with the fields that Outlive adds
   * @param {{ idempotencyKey?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Created>}
   * @throws {OutliveError}
   */
  async create(request, { idempotencyKey = newKey(), signal } = {}) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
    return this.#request("", { method: "POST", headers, body: JSON.stringify(request), signal });
  }

  /**
   * The whole answer so far. `watch` continues from it if its `cursor` is given as `after`.
   * @param {string} id
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Record<string, any>>}
   */
  async snapshot(id, { signal } = {}) {
    return this.#request(`/${encodeURIComponent(id)}`, { signal });
  }

  /**
   * How many viewers watch a generation now.
   * @param {string} id
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<number>}
   */
  async viewers(id, { signal } = {}) {
    return (await this.#request(`/${encodeURIComponent(id)}/viewers`, { signal })).viewers;
  }

  /**
   * Generations, newest first.
   * @param {{ status?: Status, limit?: number, before?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Page>}
   */
  async list({ signal, ...query } = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    return this.#request(`?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`, { signal });
  }

  /**
   * Stop a generation, for all its viewers.
   * @param {string} id
   * @returns {Promise<Status>} how it ended; it may have completed or failed before
   */
  async cancel(id) {
    return (await this.#request(`/${encodeURIComponent(id)}/cancel`, { method: "POST" })).status;
  }

  /**
   * Make a token that lets others watch a generation, or watch and cancel it.
   * @param {string} id
   * @param {{ rights?: "view" | "view+cancel", expires_s?: number }} [options]
   * @returns {Promise<{ token: string, rights: string, expires_at: number }>}
   */
  async share(id, options = {}) {
    const headers = { "Content-Type": "application/json" };
    return this.#request(`/${encodeURIComponent(id)}/tokens`, { method: "POST", headers, body: JSON.stringify(options) });
  }

  /**
   * Delete a generation; if it still runs, stop it first.
   * @param {string} id
   * @returns {Promise<void>}
   */
  async delete(id) {
    await this.#request(`/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  /**
   * Every event after a cursor, then each new one as it happens, until the terminal. Iterate over the result, or give
   * `onEvent` and await `done`.
   * @param {string} id
   * @param {WatchOptions} [options]
   * @returns {Watch}
   */
  watch(id, options = {}) {
    const path = `${this.#base}/${encodeURIComponent(id)}/events`;
    return new Watch(follow((after, signal) => this.#fetch(path + (after ? `?after=${after}` : ""), {
      // The cursor is in the address, because as a header it would cost a preflight at every reconnect.
      headers: { ...this.#headers, Accept: "text/event-stream" },
      cache: "no-store",
      signal,
    }), options), options.onEvent);
  }

  /** @param {string} path @param {RequestInit & { signal?: AbortSignal }} request @returns {Promise<any>} */
  async #request(path, request) {
    const headers = { ...this.#headers, .../** @type {Record<string, string>} */ (request.headers) };
    for (let tries = 1; ; tries += 1) {
      let waitMs = RETRY_MS * 2 ** (tries - 1);
      try {
        const response = await this.#fetch(this.#base + path, { ...request, headers });
        if (response.ok) return response.status === 204 ? undefined : await response.json();
        if (tries === TRIES || !isTransient(response.status)) throw await errorOf(response);
        waitMs = Math.max(waitMs, retryAfterMs(response) ?? 0);
      } catch (error) {
        if (tries === TRIES || error instanceof OutliveError || request.signal?.aborted) throw error;
      }
      await pause(waitMs, request.signal);
      request.signal?.throwIfAborted();
    }
  }
}

/** The events of one generation. */
export class Watch {
  #events;

  /**
   * @param {AsyncGenerator<OutliveEvent, void, void>} events
   * @param {(event: OutliveEvent) => void} [onEvent]
   */
  constructor(events, onEvent) {
    this.#events = events;
    /** With `onEvent`: resolves at the end, and rejects if the server refuses or `onEvent` throws. */
    this.done = onEvent ? drive(events, onEvent) : Promise.resolve();
  }

  [Symbol.asyncIterator]() {
    return this.#events;
  }
}

/**
 * @param {AsyncGenerator<OutliveEvent, void, void>} events
 * @param {(event: OutliveEvent) => void} onEvent
 */
async function drive(events, onEvent) {
  for await (const event of events) onEvent(event);
}

function newKey() {
  // Not randomUUID, which browsers only offer with TLS. The generation's id is derived from it: it must not be guessable.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
