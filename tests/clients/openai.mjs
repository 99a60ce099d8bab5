// Does one thing with OpenAI's own SDK and prints what came of it. In: {baseURL, other, what, model, prompt, id}

import { readFileSync, writeFileSync } from "node:fs";

import OpenAI from "openai";

const given = JSON.parse(readFileSync(0, "utf8"));
const client = new OpenAI({ baseURL: given.baseURL, apiKey: "sk-none-needed" });
const other = new OpenAI({ baseURL: given.other, apiKey: "sk-none-needed" });
const messages = [{ role: "user", content: given.prompt }];
const { model } = given;

async function raised(work) {
  try {
    await work();
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, code: error.code, message: error.message };
  }
  return null;
}

const THINGS = {
  async chat() {
    let streamed = "";
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      streamed += chunk.choices[0]?.delta.content ?? "";
    }
    const whole = await client.chat.completions.create({ model, messages });
    const helper = await client.chat.completions.stream({ model, messages }).finalContent();
    return [streamed, whole.choices[0].message.content, helper];
  },
  async calls() {
    const completion = await client.chat.completions.stream({ model, messages, tools: given.tools }).finalChatCompletion();
    return completion.choices[0].message.tool_calls.map((call) => call.function);
  },
  async responses() {
    const final = await client.responses.stream({ model, input: given.prompt }).finalResponse();
    const whole = await client.responses.create({ model, input: given.prompt });
    return [final.output_text, whole.output_text];
  },
  // In the background here, and from each number on over there.
  async background() {
    const made = await client.responses.create({ model, input: given.prompt, background: true });
    const numbers = [];
    for await (const event of await other.responses.retrieve(made.id, { stream: true })) numbers.push(event.sequence_number);
    const rests = [];
    for (const starting_after of numbers) {
      const rest = [];
      for await (const event of await other.responses.retrieve(made.id, { stream: true, starting_after })) {
        rest.push(event.sequence_number);
      }
      rests.push(rest);
    }
    return { numbers, rests, status: (await client.responses.retrieve(made.id)).status };
  },
  async cancelled() {
    const made = await client.responses.create({ model, input: given.prompt, background: true });
    const twice = [await client.responses.cancel(made.id), await other.responses.cancel(made.id)];
    return twice.map(({ status }) => status);
  },
  errors: async () => [
    await raised(() => client.chat.completions.create({ model, messages, n: 2 })),
    await raised(async () => {
      for await (const _ of await client.chat.completions.create({ model: given.broken, messages, stream: true }));
    }),
    await raised(() => client.responses.retrieve("resp_0")),
  ],
};

writeFileSync(1, JSON.stringify(await THINGS[given.what]()));
