/**
 * Whether asking again may help: the server, or something in front of it, cannot answer now.
 * @param {number} status
 */
export function isPassing(status: number): boolean;
/**
 * The error in a response's body, which may be anybody's: a proxy answers in HTML.
 * @param {Response} response
 * @returns {Promise<OutliveError>}
 */
export function errorOf(response: Response): Promise<OutliveError>;
/**
 * The `Retry-After` of a response in milliseconds; null when there is none that can be read.
 * @param {Response} response
 */
export function retryAfterMs(response: Response): number | null;
/** A request that the server answered, and will not answer otherwise when asked again. */
export class OutliveError extends Error {
    /** @param {number} status HTTP @param {string} code stable, see PROTOCOL.md @param {string} message for people */
    constructor(status: number, code: string, message: string);
    status: number;
    code: string;
}
