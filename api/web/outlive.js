// Owns the client: the HTTP of generations as functions. `watch` reconnects by itself, see watch.js.

import { pause } from "./backoff.js";
import { OutliveError, errorOf, isPassing, retryAfterMs } from "./errors.js";
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
 * @property {string} [baseUrl] of the API; the page's own server without it
 * @property {Record<string, string>} [headers] sent with every request
 * @property {typeof fetch} [fetch] instead of the global one
 */

const TRIES = 4;
const RETRY_MS = 500;

/** Outlive at one address. */
export class Outlive {
  #base;
  #headers;
  #fetch;

  /** @param {Options} [options] */
  constructor({ baseUrl = "", headers = {}, fetch = globalThis.fetch } = {}) {
    this.#base = `${baseUrl.replace(/\/$/, "")}/v1/generations`;
    this.#headers = headers;
    // Called without a receiver: browsers insist on it.
    this.#fetch = /** @type {typeof globalThis.fetch} */ ((...request) => fetch(...request));
  }

  /**
   * Ask for an answer. Asks again while nobody answers; one key makes sure that only one is made.
   * @param {Record<string, any>} request an OpenAI Chat Completions request, and what Outlive adds to it
   * @param {{ idempotencyKey?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Created>}
   * @throws {OutliveError}
   */
  async create(request, { idempotencyKey = newKey(), signal } = {}) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
    return this.#ask("", { method: "POST", headers, body: JSON.stringify(request), signal });
  }

  /**
   * The answer so far, in one piece; its `cursor` is the `after` with which `watch` continues.
   * @param {string} id
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Record<string, any>>}
   */
  async snapshot(id, { signal } = {}) {
    return this.#ask(`/${encodeURIComponent(id)}`, { signal });
  }

  /**
   * How many watch it now.
   * @param {string} id
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<number>}
   */
  async viewers(id, { signal } = {}) {
    return (await this.#ask(`/${encodeURIComponent(id)}/viewers`, { signal })).viewers;
  }

  /**
   * Generations, newest first.
   * @param {{ status?: Status, limit?: number, before?: string, signal?: AbortSignal }} [options]
   * @returns {Promise<Page>}
   */
  async list({ signal, ...query } = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    return this.#ask(`?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`, { signal });
  }

  /**
   * Stop it, for everybody.
   * @param {string} id
   * @returns {Promise<Status>} how it ended, which may be otherwise
   */
  async cancel(id) {
    return (await this.#ask(`/${encodeURIComponent(id)}/cancel`, { method: "POST" })).status;
  }

  /**
   * A token with which somebody else may watch it, or watch and cancel.
   * @param {string} id
   * @param {{ rights?: "view" | "view+cancel", expires_s?: number }} [asked]
   * @returns {Promise<{ token: string, rights: string, expires_at: number }>}
   */
  async share(id, asked = {}) {
    const headers = { "Content-Type": "application/json" };
    return this.#ask(`/${encodeURIComponent(id)}/tokens`, { method: "POST", headers, body: JSON.stringify(asked) });
  }

  /**
   * Stop it if need be, and forget it.
   * @param {string} id
   * @returns {Promise<void>}
   */
  async delete(id) {
    await this.#ask(`/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  /**
   * Every event after a cursor, then each new one as it happens, to the terminal. Iterate, or give
   * `onEvent` and await `done`.
   * @param {string} id
   * @param {WatchOptions} [options]
   * @returns {Watch}
   */
  watch(id, options = {}) {
    const path = `${this.#base}/${encodeURIComponent(id)}/events`;
    return new Watch(follow((after, signal) => this.#fetch(path + (after ? `?after=${after}` : ""), {
      // The cursor goes into the address: as a header it would cost a preflight at every reconnect.
      headers: { ...this.#headers, Accept: "text/event-stream" },
      cache: "no-store",
      signal,
    }), options), options.onEvent);
  }

  /** @param {string} path @param {RequestInit & { signal?: AbortSignal }} request @returns {Promise<any>} */
  async #ask(path, request) {
    const headers = { ...this.#headers, .../** @type {Record<string, string>} */ (request.headers) };
    for (let tries = 1; ; tries += 1) {
      let waitMs = RETRY_MS * 2 ** (tries - 1);
      try {
        const response = await this.#fetch(this.#base + path, { ...request, headers });
        if (response.ok) return response.status === 204 ? undefined : await response.json();
        if (tries === TRIES || !isPassing(response.status)) throw await errorOf(response);
        waitMs = Math.max(waitMs, retryAfterMs(response) ?? 0);
      } catch (error) {
        if (tries === TRIES || error instanceof OutliveError || request.signal?.aborted) throw error;
      }
      await pause(waitMs, request.signal);
      request.signal?.throwIfAborted();
    }
  }
}

/** One generation being watched. */
export class Watch {
  #events;

  /**
   * @param {AsyncGenerator<OutliveEvent, void, void>} events
   * @param {(event: OutliveEvent) => void} [onEvent]
   */
  constructor(events, onEvent) {
    this.#events = events;
    /** Settles at the end, when `onEvent` was given: rejects with what the server refused, or `onEvent` threw. */
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
  // Not randomUUID, which browsers keep from pages without TLS. The id is made of it: not to be guessed.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
