/** Bytes in, events out, however the bytes are cut. */
export class FrameReader {
    /** The wait before the next connection that the server asked for, once it did.
     * @type {number | null} */
    retryMs: number | null;
    /**
     * The events completed by these bytes. An unfinished one is kept; at the end of the stream it is lost.
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
