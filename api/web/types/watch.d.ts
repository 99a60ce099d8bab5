/**
 * The events of one generation, to the terminal.
 * @param {Open} open
 * @param {WatchOptions} options
 * @returns {AsyncGenerator<OutliveEvent, void, void>}
 * @throws {OutliveError} when the server refuses for good
 */
export function follow(open: Open, options: WatchOptions): AsyncGenerator<OutliveEvent, void, void>;
export type OutliveEvent = import("./frames.js").OutliveEvent;
/**
 * What became of the connection: for showing, not for deciding.
 */
export type Connection = {
    state: "connecting" | "open" | "waiting" | "ended";
    /**
     * connections lost in a row without an event between them
     */
    failures: number;
    /**
     * until the next connection, while waiting
     */
    waitMs: number;
};
export type WatchOptions = {
    /**
     * the last event id seen; everything from the start without it
     */
    after?: string | undefined;
    /**
     * ends the watching; never the generation
     */
    signal?: AbortSignal | undefined;
    /**
     * starts at once and is told every event
     */
    onEvent?: ((event: OutliveEvent) => void) | undefined;
    onConnection?: ((connection: Connection) => void) | undefined;
    /**
     * a connection without a byte for this long is dead; three heartbeats
     */
    silenceMs?: number | undefined;
};
export type Open = (after: string | null, signal: AbortSignal) => Promise<Response>;
