/** @param {string} type whether an event of this type is the last one */
export function isTerminal(type: string): boolean;
/** What one generation has said so far. */
export class Answer {
    /** @type {string | null} the id of the last event taken in */
    cursor: string | null;
    /** @type {Status} */
    status: Status;
    attempt: number;
    text: string;
    reasoning: string;
    refusal: string;
    /** @type {ToolCall[]} in the order of their index */
    toolCalls: ToolCall[];
    /** @type {Record<string, any>} the values so far: of `output`, and of tool calls' arguments by id */
    json: Record<string, any>;
    /** @type {Violation[]} what is wrong with the values at the end */
    violations: Violation[];
    /** @type {Record<string, any> | null} */
    usage: Record<string, any> | null;
    /** @type {string | null} */
    finishReason: string | null;
    /** @type {Failure | null} */
    error: Failure | null;
    /** Whether nothing more will be said. */
    get isClosed(): boolean;
    /**
     * Take in the next event. Types it does not know only move the cursor.
     * @param {OutliveEvent} event
     * @returns {this}
     * @throws {RangeError} when the event does not fit what was taken in: something is missing, or too much
     */
    apply(event: OutliveEvent): this;
    #private;
}
export type OutliveEvent = import("./frames.js").OutliveEvent;
export type Status = "queued" | "running" | "completed" | "failed" | "cancelled";
export type ToolCall = {
    index: number;
    id: string | null;
    name: string | null;
    /**
     * the pieces so far, or the whole once `done`
     */
    arguments: string;
    done: boolean;
    result: {
        content: string | null;
        error: string | null;
        durationMs: number;
    } | null;
};
export type Failure = {
    code: string;
    message: string;
    retryable: boolean;
};
export type Violation = {
    target: string;
    path: string;
    message: string;
};
