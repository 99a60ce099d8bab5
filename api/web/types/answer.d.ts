/** @param {string} type whether an event of this type is the last one */
export function isTerminal(type: string): boolean;
/** The answer of one generation so far. */
export class Answer {
    /** @type {string | null} the id of the last applied event */
    cursor: string | null;
    /** @type {Status} */
    status: Status;
    attempt: number;
    text: string;
    reasoning: string;
    refusal: string;
    /** @type {ToolCall[]} ordered by index */
    toolCalls: ToolCall[];
    /** @type {Record<string, any>} the JSON values so far: under `output`, and the arguments of tool calls under their ids */
    json: Record<string, any>;
    /** @type {Violation[]} schema violations of the final values */
    violations: Violation[];
    /** @type {Record<string, any> | null} */
    usage: Record<string, any> | null;
    /** @type {string | null} */
    finishReason: string | null;
    /** @type {Failure | null} */
    error: Failure | null;
    /** Whether the generation has ended. */
    get isClosed(): boolean;
    /**
     * Apply the next event. An unknown type only moves the cursor.
     * @param {OutliveEvent} event
     * @returns {this}
     * @throws {RangeError} if the event does not fit those before it: an event is missing, or too many came
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
     * the pieces so far; complete once `done`
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
