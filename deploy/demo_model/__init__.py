"""The demo model: a small OpenAI-compatible HTTP server with nothing behind it.

    outlive demo-model --host 127.0.0.1 --port 9100

With it `outlive up` works on a machine without an API key. It is also the only test double here, because
the provider is the only part of the system that we do not own. It knows nothing of Outlive.

    POST /v1/chat/completions      stream true and false
    GET  /v1/models, /healthz
    GET  /control/requests         the last 1000 requests, and how each of them ended
    POST /control/gates/NAME/open  opens gate NAME for good; streams pass it

**Options are part of the model's name**, because every OpenAI client and proxy passes the name on
unchanged: `demo`, or `demo;tokens=500;pace_s=0;seed=7`. The same request always gets the same answer.

    pace_s=0.02     seconds between two deltas; 0 is as fast as the socket accepts them
    first_s=0       seconds before the first delta
    tokens=N        exactly N content deltas (default: as many as the answer has)
    chars=N         exactly N characters in each text delta (default: pieces like words)
    reasoning=N     N deltas of `reasoning_content` come first
    refusal=N       N deltas of `refusal` instead of content
    tools=K         if the request has tools, K parallel calls; content only if `tokens` is given.
                    When it gets their results, it answers in text and repeats them
    turns=N         N turns with tool calls (default 1) before it answers
    calls_as=HOW    how calls are streamed: `apart`, one after the other (default); `mixed`, one piece
                    of each by turns; `named`, as mixed, with id and name on every piece; `numbered`,
                    as mixed, without any id; `bare`, apart, without index; `zero`, apart, all of
                    them with index 0
    finish=REASON   instead of the true reason: stop, length, tool_calls, content_filter; a word of another server:
                    end_turn, eos_token, STOP, COMPLETE, tool_use, function_call, max_tokens, MAX_TOKENS, LENGTH,
                    model_context_window_exceeded, SAFETY, PROHIBITED_CONTENT, sensitive, abort, error,
                    network_error, insufficient_system_resource, malformed_function_call,
                    MALFORMED_FUNCTION_CALL; a word of none: unheard_of. none: the stream ends without one, as if
                    the provider had been cut off
    usage=0         no usage, even if the request asks for it
    echo=1          the answer is exactly the prompt
    seed=N          another answer to the same prompt
    gate=NAME       send nothing until gate NAME is opened...
    gate_after=K    ...after K deltas, without reasoning (0: before the first; if there are fewer
                    than K: after the last and before the finish)

Delays, for streams only:

    head_s=S        seconds before the head of the response
    alive_s=S       seconds in which only signs of life come, ten each second, before the first delta
    alive=HOW       what they are: comments (default), chunks without a delta, pings (`data: {}`) or blanks (lines)
    hold_s=S        the arguments of each call come whole, after S seconds without a byte

Faults, for streams only:

    fault=NAME      instead of a stream: 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503, 529; endless_500
                    (its body); html, json_error and whole (200, but not a stream); gzip (a bomb).
                    In the stream: stall, comments (and nothing else), reset and half_close (in the
                    middle of an HTTP chunk), bad_framing, cut (a clean end), half_line, bad_json, bad_utf8,
                    not_a_chunk, empty_choices, endless_line, large_event (2 MiB); an error: error (an event of
                    its own), event_error (the same, named), choice_error (beside a choice), spark_error (`code` and
                    `message` alone), bare_error (JSON, no event), plain_text_error (an event, no JSON).
                    At its end: no_done (no `[DONE]`), silent_end (the same, and the socket stays)
    after=K         the fault comes after K deltas, counted as for `gate_after`
    times=N         only for the first N requests with exactly this name
    code=CODE       the code of an error in the stream
    retry_after_s=S, retry_after_date_s=S, retry_after_ms=N, should_retry=0|1
                    for faults that are a status: the headers Retry-After, as seconds or as a date, retry-after-ms,
                    and x-should-retry

**Quirks** are how compatible servers write an otherwise good answer: `quirk=NAME`, or several: `quirk=parts+bom`. For
streams only. Each was seen at a real provider or gateway.

Text: `numbers` (pieces that look like a number, true or false are one), `parts` (lists of typed parts, reasoning
nested), `summary_parts` (the same, reasoning as a summary), `object_content`, `object_reasoning` (with a signature),
`reasoning`, `reasoning_text`, `both_reasonings` (other names for it), `details` and `details_only`
(`reasoning_details` beside it or alone, signatures behind it), `thinking_blocks`, `images` (the answer is one),
`image_parts` (one beside the text), `unknown_member` (the answer under a name that nobody knows), `citations`,
`fence` (three backticks around it).

Calls: `call_signature` (`extra_content` on the call), `late_signature` (in a piece of its own), `function_call` (as
before `tool_calls`), `custom_tool`, `whole_calls`, `object_arguments`, `no_arguments`, `null_arguments`,
`name_pieces`, `null_members`, `index_jump` (another index on the first piece), `string_index`, `same_id`,
`number_id`, `long_id` (5 kB), `empty_calls`.

The end: `reason_everywhere` (on each chunk), `early_stop` (`stop` on the reasoning), `camel` (`finishReason`),
`finish_object`, `no_reason` (usage and `[DONE]` only), `reason_on_last` (beside the last delta), `no_last_newline`
(and no `[DONE]`).

Usage: `usage_input_output` (other names), `usage_in_choice`, `usage_zero_first`, `usage_cumulative`,
`usage_minus_one`, `usage_zero`, `usage_total_only`, `usage_list`, `usage_text`, `usage_null_details`.

Chunks: `message` (one event with the whole completion), `message_beside` (it grows beside the deltas), `whole`
(`application/json`), `bare_whole` (an event stream without an event), `text` (as for completions), `choice_one` (its
index), `azure`, `groq`, `nan` (among the logprobs).

Bytes: `pings` (of all kinds), `crlf`, `run_on` (one newline between events), `blank_lines`, `bom`. The head:
`json_type`, `html_type`, `plain_type`, `bytes_type`, `encoding_none`, `large_headers` (9 kB). The connection:
`redirect` (308 within the origin), `dies_on_reuse` (reset without a byte if it was used before).

Requests that are refused: `no_stream_options`, `no_developer_role`, `no_max_tokens`, `no_extras`, `no_nulls`,
`wants_reasoning` and `wants_signature` (back, on the message with the calls), `wants_content` (null is none),
`wants_accept`, `no_telemetry` (nor the SDK's User-Agent).

Bodies of errors, with a fault that is a status, or `json_error`: `gzip_error`, `ollama_error`, `gemini_error`,
`fastapi_error`, `mistral_error`, `minimax_error`, `cloudflare_error`, `plain_error`, `html_error`, `empty_error`,
`quota`, `context` (too long), `key_whole`, `key_part`, `key_masked` (the key that was sent is repeated; masked is how
401 does it without a quirk).

`response_format` (`json_object`, `json_schema`), `tool_choice` and `max_tokens` work as at OpenAI.
`n` above 1 is refused.

`process` listens, `http_app` routes, `model_options` and `chat_request` parse a request, `script` decides what comes
when, `prose` and `schema_values` make the contents up, `openai_shapes` knows the shapes, `player` waits and writes,
`faults` breaks a stream, `quirks` bends it, `control` holds gates and the record of requests.
"""
