export { OutliveError } from "./errors.js";
/** The client of one Outlive server. */
export class Outlive {
    /** @param {Options} [options] */
    constructor({ baseUrl, headers, fetch }?: Options);
    /**
     * Create a generation. Retries while the server cannot be reached; one key makes sure that only one is created.
     * @param {Record<string, any>} request an OpenAI Chat Completions request, with the fields that Outlive adds
     * @param {{ idempotencyKey?: string, signal?: AbortSignal }} [options]
     * @returns {Promise<Created>}
     * @throws {OutliveError}
     */
    create(request: Record<string, any>, { idempotencyKey, signal }?: {
        idempotencyKey?: string;
        signal?: AbortSignal;
    }): Promise<Created>;
    /**
     * The whole answer so far. `watch` continues from it if its `cursor` is given as `after`.
     * @param {string} id
     * @param {{ signal?: AbortSignal }} [options]
     * @returns {Promise<Record<string, any>>}
     */
    snapshot(id: string, { signal }?: {
        signal?: AbortSignal;
    }): Promise<Record<string, any>>;
    /**
     * How many viewers watch a generation now.
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
     * Stop a generation, for all its viewers.
     * @param {string} id
     * @returns {Promise<Status>} how it ended; it may have completed or failed before
     */
    cancel(id: string): Promise<Status>;
    /**
     * Make a token that lets others watch a generation, or watch and cancel it.
     * @param {string} id
     * @param {{ rights?: "view" | "view+cancel", expires_s?: number }} [options]
     * @returns {Promise<{ token: string, rights: string, expires_at: number }>}
     */
    share(id: string, options?: {
        rights?: "view" | "view+cancel";
        expires_s?: number;
    }): Promise<{
        token: string;
        rights: string;
        expires_at: number;
    }>;
    /**
     * Delete a generation; if it still runs, stop it first.
     * @param {string} id
     * @returns {Promise<void>}
     */
    delete(id: string): Promise<void>;
    /**
     * Every event after a cursor, then each new one as it happens, until the terminal. Iterate over the result, or give
     * `onEvent` and await `done`.
     * @param {string} id
     * @param {WatchOptions} [options]
     * @returns {Watch}
     */
    watch(id: string, options?: WatchOptions): Watch;
    #private;
}
/** The events of one generation. */
export class Watch {
    /**
     * @param {AsyncGenerator<OutliveEvent, void, void>} events
     * @param {(event: OutliveEvent) => void} [onEvent]
     */
    constructor(events: AsyncGenerator<OutliveEvent, void, void>, onEvent?: (event: OutliveEvent) => void);
    /** With `onEvent`: resolves at the end, and rejects if the server refuses or `onEvent` throws. */
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
     * of the API; without it the server of the page
     */
    baseUrl?: string | undefined;
    /**
     * sent with every request
     */
    headers?: Record<string, string> | undefined;
    /**
     * used instead of the global one
     */
    fetch?: typeof fetch | undefined;
};
export { Answer, isTerminal } from "./answer.js";
