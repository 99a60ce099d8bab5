export { OutliveError } from "./errors.js";
/** Outlive at one address. */
export class Outlive {
    /** @param {Options} [options] */
    constructor({ baseUrl, headers, fetch }?: Options);
    /**
     * Ask for an answer. Asks again while nobody answers; one key makes sure that only one is made.
     * @param {Record<string, any>} request an OpenAI Chat Completions request, and what Outlive adds to it
     * @param {{ idempotencyKey?: string, signal?: AbortSignal }} [options]
     * @returns {Promise<Created>}
     * @throws {OutliveError}
     */
    create(request: Record<string, any>, { idempotencyKey, signal }?: {
        idempotencyKey?: string;
        signal?: AbortSignal;
    }): Promise<Created>;
    /**
     * The answer so far, in one piece; its `cursor` is the `after` with which `watch` continues.
     * @param {string} id
     * @param {{ signal?: AbortSignal }} [options]
     * @returns {Promise<Record<string, any>>}
     */
    snapshot(id: string, { signal }?: {
        signal?: AbortSignal;
    }): Promise<Record<string, any>>;
    /**
     * How many watch it now.
     * @param {string} id
     * @param {{ signal?: AbortSignal }} [options]
     * @returns {Promise<number>}
     */
    viewers(id: string, { signal }?: {
        signal?: AbortSignal;
    }): Promise<number>;
    /**
     * Generations, newest first.
     * @param {{ status?: Status, limit?: number, before?: string, signal?: AbortSignal }} [options]
     * @returns {Promise<Page>}
     */
    list({ signal, ...query }?: {
        status?: Status;
        limit?: number;
        before?: string;
        signal?: AbortSignal;
    }): Promise<Page>;
    /**
     * Stop it, for everybody.
     * @param {string} id
     * @returns {Promise<Status>} how it ended, which may be otherwise
     */
    cancel(id: string): Promise<Status>;
    /**
     * A token with which somebody else may watch it, or watch and cancel.
     * @param {string} id
     * @param {{ rights?: "view" | "view+cancel", expires_s?: number }} [asked]
     * @returns {Promise<{ token: string, rights: string, expires_at: number }>}
     */
    share(id: string, asked?: {
        rights?: "view" | "view+cancel";
        expires_s?: number;
    }): Promise<{
        token: string;
        rights: string;
        expires_at: number;
    }>;
    /**
     * Stop it if need be, and forget it.
     * @param {string} id
     * @returns {Promise<void>}
     */
    delete(id: string): Promise<void>;
    /**
     * Every event after a cursor, then each new one as it happens, to the terminal. Iterate, or give
     * `onEvent` and await `done`.
     * @param {string} id
     * @param {WatchOptions} [options]
     * @returns {Watch}
     */
    watch(id: string, options?: WatchOptions): Watch;
    #private;
}
/** One generation being watched. */
export class Watch {
    /**
     * @param {AsyncGenerator<OutliveEvent, void, void>} events
     * @param {(event: OutliveEvent) => void} [onEvent]
     */
    constructor(events: AsyncGenerator<OutliveEvent, void, void>, onEvent?: (event: OutliveEvent) => void);
    /** Settles at the end, when `onEvent` was given: rejects with what the server refused, or `onEvent` threw. */
    done: Promise<void>;
    [Symbol.asyncIterator](): AsyncGenerator<import("./frames.js").OutliveEvent, void, void>;
    #private;
}
export type OutliveEvent = import("./frames.js").OutliveEvent;
export type WatchOptions = import("./watch.js").WatchOptions;
export type Connection = import("./watch.js").Connection;
export type Status = import("./answer.js").Status;
export type ToolCall = import("./answer.js").ToolCall;
export type Created = {
    id: string;
    status: Status;
    model: string;
    created_at: number;
    urls: Record<string, string>;
};
export type Listed = {
    id: string;
    status: Status;
    model: string;
    attempt: number;
    metadata: Record<string, any>;
    created_at: number;
    started_at: number | null;
    finished_at: number | null;
};
export type Page = {
    generations: Listed[];
    next: string | null;
};
export type Options = {
    /**
     * of the API; the page's own server without it
     */
    baseUrl?: string | undefined;
    /**
     * sent with every request
     */
    headers?: Record<string, string> | undefined;
    /**
     * instead of the global one
     */
    fetch?: typeof fetch | undefined;
};
export { Answer, isTerminal } from "./answer.js";
