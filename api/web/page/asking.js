// Owns the request that is sent for a question, and the note in its metadata from which a page that opens the answer
// later knows the question. Pure.

/** @typedef {"text" | "data" | "tools"} Mode */
/**
 * @typedef {object} Question
 * @property {string} prompt
 * @property {string} model
 * @property {Mode} mode
 * @property {string | null} after the id of the generation before it
 */
/** @typedef {{ role: "user" | "assistant", content: string }} Message */

// Metadata may have 4 kB of JSON, where a character takes up to six bytes.
const NOTED_CHARS = 600;

const SCHEMA = {
  name: "trip",
  schema: {
    type: "object",
    properties: {
      title: { type: "string" },
      summary: { type: "string" },
      days: {
        type: "array",
        minItems: 2,
        items: {
          type: "object",
          properties: { place: { type: "string" }, plan: { type: "string" }, hours: { type: "integer" } },
          required: ["place", "plan", "hours"],
        },
      },
      needs_booking: { type: "boolean" },
    },
    required: ["title", "summary", "days", "needs_booking"],
  },
};

const TOOLS = [
  tool("look_up_tide", "When high tide is at a place", { place: { type: "string" }, date: { type: "string" } }),
  tool("measure_distance", "How far two places are apart", { from: { type: "string" }, to: { type: "string" } }),
];

/**
 * @param {Question} question
 * @param {Message[]} before questions and answers so far
 * @returns {Record<string, any>}
 */
export function requestOf(question, before) {
  const { prompt, mode, after } = question;
  return {
    model: modelOf(question),
    messages: [...before, { role: "user", content: prompt }],
    ...(mode === "data" && { response_format: { type: "json_schema", json_schema: SCHEMA } }),
    ...(mode === "tools" && { tools: TOOLS }),
    metadata: { page: { prompt: prompt.slice(0, NOTED_CHARS), model: question.model, mode, after } },
  };
}

/**
 * The question of a generation, as far as its metadata has it.
 * @param {Record<string, any>} metadata
 * @param {string} model
 * @returns {Question}
 */
export function questionOf(metadata, model) {
  const noted = metadata?.page;
  const mode = ["text", "data", "tools"].includes(noted?.mode) ? noted.mode : "text";
  return {
    prompt: textOr(noted?.prompt, "Question from another client"),
    model: textOr(noted?.model, model),
    mode,
    after: typeof noted?.after === "string" ? noted.after : null,
  };
}

/** @param {unknown} value @param {string} otherwise */
function textOr(value, otherwise) {
  return typeof value === "string" && value ? value : otherwise;
}

/** @param {Question} question the name of the demo model says what to do; other names stay as they are */
function modelOf({ model, mode }) {
  return model === "demo" && mode === "tools" ? "demo;tools=2" : model;
}

/** @param {string} name @param {string} description @param {Record<string, any>} properties */
function tool(name, description, properties) {
  const parameters = { type: "object", properties, required: Object.keys(properties) };
  return { type: "function", function: { name, description, parameters } };
}
