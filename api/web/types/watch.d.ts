/**
 * The events of one generation, until the terminal.
 * @param {Open} open
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<OutliveEvent, void, void>}
 * @throws {OutliveError} if the server refuses for good
 */
export function follow(open: Open, options: WatchOptions): AsyncGenerator<OutliveEvent, void, void>;
export type OutliveEvent = import("./frames.js").OutliveEvent;
/**
 * The state of the connection, to be shown to people.
 */
export type Connection = {
    state: "connecting" | "open" | "waiting" | "ended";
    /**
     * lost connections in a row, without an event in between
     */
    failures: number;
    /**
     * time until the next connection, in state `waiting`
     */
    waitMs: number;
};
export type WatchOptions = {
    /**
     * the id of the last event seen; without it everything from the start
     */
    after?: string | undefined;
    /**
     * ends watching, never the generation
     */
    signal?: AbortSignal | undefined;
    /**
     * called with every event; with it watching starts at once
     */
    onEvent?: ((event: OutliveEvent) => void) | undefined;
    onConnection?: ((connection: Connection) => void) | undefined;
    /**
     * a connection without a byte for this long counts as dead; by default three heartbeats
     */
    silenceMs?: number | undefined;
};
export type Open = (after: string | null, signal: AbortSignal) => Promise<Response>;
