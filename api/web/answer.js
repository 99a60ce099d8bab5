// Owns the reduction of events to the answer. Every viewer does the same, so all see the same answer.
//
// Pure: no I/O, no clock, no DOM. The answer grows in place, one event at a time; the cost of an event does not
// depend on the length of the answer so far.

import { applyOps, copyOf } from "./ops.js";

/** @typedef {import("./frames.js").OutliveEvent} OutliveEvent */
/** @typedef {"queued" | "running" | "completed" | "failed" | "cancelled"} Status */
/**
 * @typedef {object} ToolCall
 * @property {number} index
 * @property {string | null} id
 * @property {string | null} name
 * @property {string} arguments the pieces so far; complete once `done`
 * @property {boolean} done
 * @property {{ content: string | null, error: string | null, durationMs: number } | null} result
 */
/** @typedef {{ code: string, message: string, retryable: boolean }} Failure */
/** @typedef {{ target: string, path: string, message: string }} Violation */

const TERMINALS = new Set(["completed", "failed", "cancelled"]);
/** Into which `json` events fold. */
const FOLDABLE = new Set(["token", "reasoning", "refusal", "tool_call"]);

/** @param {string} type whether an event of this type is the last one */
export function isTerminal(type) {
  return TERMINALS.has(type);
}

/** The answer of one generation so far. */
export class Answer {
  /** @type {string | null} the id of the last applied event */
  cursor = null;
  /** @type {Status} */
  status = "queued";
  attempt = 0;
  text = "";
  reasoning = "";
  refusal = "";
  /** @type {ToolCall[]} ordered by index */
  toolCalls = [];
  /** @type {Record<string, any>} the JSON values so far: under `output`, and the arguments of tool calls under their ids */
  json = {};
  /** @type {Violation[]} schema violations of the final values */
  violations = [];
  /** @type {Record<string, any> | null} */
  usage = null;
  /** @type {string | null} */
  finishReason = null;
  /** @type {Failure | null} */
  error = null;

  #clear() {
    const { cursor } = this;
    Object.assign(this, new Answer(), { cursor });
  }

  /** Whether the generation has ended. */
  get isClosed() {
    return isTerminal(this.status);
  }

  /**
   * Apply the next event. An unknown type only moves the cursor.
   * @param {OutliveEvent} event
   * @returns {this}
   * @throws {RangeError} if the event does not fit those before it: an event is missing, or too many came
   */
  apply(event) {
    const { id, type, data } = event;
    if (type === "reset") {
      this.cursor = null;
      this.#clear();
      return this;
    }
    // A viewer that has more than what counts is sent `reset` before such a terminal.
    if (this.cursor && isTerminal(type) && data.cut && data.cut !== this.cursor) {
      throw new RangeError(`the last event is ${this.cursor}, but the terminal counts events only up to ${data.cut}`);
    }
    this.#take(type, data);
    if (id) this.cursor = id;
    return this;
  }

  /** @param {string} type @param {any} data */
  #take(type, data) {
    switch (type) {
      case "attempt":
        this.#clear();
        this.status = "running";
        this.attempt = data.attempt;
        break;
      case "token":
        this.text += data.text;
        break;
      case "reasoning":
        this.reasoning += data.text;
        break;
      case "refusal":
        this.refusal += data.text;
        break;
      case "tool_call":
        this.#call(data).arguments += data.arguments;
        break;
      case "tool_call_done":
        Object.assign(this.#call(data), { arguments: data.arguments, done: true });
        break;
      case "tool_result":
        this.#result(data);
        break;
      case "json":
        this.#value(data);
        break;
      case "completed":
      case "failed":
      case "cancelled":
        this.#end(type, data);
    }
    // A folded event also carries the changes of JSON values in its range.
    if (FOLDABLE.has(type) && Array.isArray(data.json)) data.json.forEach((/** @type {any} */ one) => this.#value(one));
  }

  /** @param {{ index: number, id?: string, name?: string }} data @returns {ToolCall} */
  #call({ index, id, name }) {
    let at = this.toolCalls.length;
    while (at > 0 && this.toolCalls[at - 1].index > index) at -= 1;
    let call = this.toolCalls[at - 1];
    if (call?.index !== index) {
      call = { index, id: null, name: null, arguments: "", done: false, result: null };
      this.toolCalls.splice(at, 0, call);
    }
    call.id = id ?? call.id;
    call.name = name ?? call.name;
    return call;
  }

  /** @param {{ id: string, content?: string, error?: string, duration_ms: number }} data */
  #result({ id, content, error, duration_ms }) {
    const call = this.toolCalls.find((one) => one.id === id);
    if (call) call.result = { content: content ?? null, error: error ?? null, durationMs: duration_ms };
  }

  /** @param {{ target: string, ops: import("./ops.js").Op[] }} data */
  #value({ target, ops }) {
    // Defined, not assigned: a provider may give a call the id `__proto__`.
    const value = applyOps(Object.hasOwn(this.json, target) ? this.json[target] : undefined, ops.map(copyOf));
    Object.defineProperty(this.json, target, { value, writable: true, enumerable: true, configurable: true });
  }

  /** @param {"completed" | "failed" | "cancelled"} status @param {any} data */
  #end(status, data) {
    this.status = status;
    this.usage = data.usage;
    this.finishReason = data.finish_reason ?? null;
    this.violations = data.violations ?? [];
    if (status === "failed") {
      this.error = { code: data.code, message: data.message, retryable: data.retryable };
    }
  }
}
