/** Bytes in, events out, however the bytes are split. */
export class FrameReader {
    /** The wait before the next connection, if the server asked for one.
     * @type {number | null} */
    retryMs: number | null;
    /**
     * The events that these bytes complete. An unfinished one is kept; at the end of the stream it is lost.
     * @param {Uint8Array} bytes
     * @returns {OutliveEvent[]}
     */
    feed(bytes: Uint8Array): OutliveEvent[];
    #private;
}
/**
 * One event as the server sent it. Only `reset` has no id.
 */
export type OutliveEvent = {
    id: string | null;
    type: string;
    data: any;
};
