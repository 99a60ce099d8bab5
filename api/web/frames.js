// Owns parsing the bytes of a response into events. Knows nothing of reconnecting or of the meaning of events.

import { createParser } from "./vendor/eventsource-parser.js";

/**
 * One event as the server sent it. Only `reset` has no id.
 * @typedef {{ id: string | null, type: string, data: any }} OutliveEvent
 */

// Far above any event of ours. A stream that never ends a line must not use up the memory of the page.
const MAX_CHARS = 16_777_216;

/** Bytes in, events out, however the bytes are split. */
export class FrameReader {
  #decoder = new TextDecoder();
  /** @type {OutliveEvent[]} */
  #events = [];
  #afterCr = false;
  #parser;

  constructor() {
    /** The wait before the next connection, if the server asked for one.
     * @type {number | null} */
    this.retryMs = null;
    this.#parser = createParser({
      onEvent: ({ id, event, data }) => {
        this.#events.push({ id: id ?? null, type: event ?? "message", data: parsed(data) });
      },
      onRetry: (ms) => { this.retryMs = ms; },
      onError: (error) => { if (error.type === "max-buffer-size-exceeded") throw error; },
      maxBufferSize: MAX_CHARS,
    });
  }

  /**
   * The events that these bytes complete. An unfinished one is kept; at the end of the stream it is lost.
   * @param {Uint8Array} bytes
   * @returns {OutliveEvent[]}
   */
  feed(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    // The parser keeps a CR at the end, because an LF may follow. On a quiet stream an event would wait there for
    // the next one. So the CR becomes CRLF, and a following LF is dropped.
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
    // Not an event of ours. A caller that knows its type may know the format.
    return data;
  }
}
