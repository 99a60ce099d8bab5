// Owns the way from a response's bytes to events. Knows nothing of reconnecting or of what events mean.

import { createParser } from "./vendor/eventsource-parser.js";

/**
 * One event as the server sent it. Only `reset` has no id.
 * @typedef {{ id: string | null, type: string, data: any }} OutliveEvent
 */

// Far above any event of ours; a stream that never ends a line must not eat the page's memory.
const MOST_CHARS = 16_777_216;

/** Bytes in, events out, however the bytes are cut. */
export class FrameReader {
  #decoder = new TextDecoder();
  /** @type {OutliveEvent[]} */
  #events = [];
  #afterCr = false;
  #parser;

  constructor() {
    /** The wait before the next connection that the server asked for, once it did.
     * @type {number | null} */
    this.retryMs = null;
    this.#parser = createParser({
      onEvent: ({ id, event, data }) => {
        this.#events.push({ id: id ?? null, type: event ?? "message", data: parsed(data) });
      },
      onRetry: (ms) => { this.retryMs = ms; },
      onError: (error) => { if (error.type === "max-buffer-size-exceeded") throw error; },
      maxBufferSize: MOST_CHARS,
    });
  }

  /**
   * The events completed by these bytes. An unfinished one is kept; at the end of the stream it is lost.
   * @param {Uint8Array} bytes
   * @returns {OutliveEvent[]}
   */
  feed(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    // The parser holds a CR at the end back, because an LF may follow; on a quiet stream an event
    // would wait there for the next one. So the CR is made a CRLF, and the LF dropped if it comes.
    if (!text) return [];
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    this.#afterCr = text.endsWith("\r");
    this.#parser.feed(this.#afterCr ? `${text}\n` : text);
    return this.#events.splice(0);
  }
}

/** @param {string} data */
function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    // Nothing of ours. Whoever knows its type may know what it is.
    return data;
  }
}
