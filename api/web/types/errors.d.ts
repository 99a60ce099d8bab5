/**
 * Whether a retry may help: the server, or something in front of it, cannot serve the request now.
 * @param {number} status
 */
export function isTransient(status: number): boolean;
/**
 * The error in a response. Its body may come from another server: proxies send HTML.
 * @param {Response} response
 * @returns {Promise<OutliveError>}
 */
export function errorOf(response: Response): Promise<OutliveError>;
/**
 * The `Retry-After` of a response in milliseconds; null if it is missing or not a number.
 * @param {Response} response
 */
export function retryAfterMs(response: Response): number | null;
/** The server refused a request. The same request would be refused again. */
export class OutliveError extends Error {
    /** @param {number} status HTTP @param {string} code stable, see PROTOCOL.md @param {string} message for people */
    constructor(status: number, code: string, message: string);
    status: number;
    code: string;
}
