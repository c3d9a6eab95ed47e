// Responses.

import { run } from './run.mjs';

const parameters = { type: 'object', properties: { city: { type: 'string' } } };

const ask = async (client, { model, turns, stream, tools, headers, leaveAfter }, leaving) => {
  const body = { model, input: turns, stream };
  if (tools) body.tools = [{ type: 'function', name: 'weather', parameters, strict: false }];
  const { data, response } = await client.responses.create(body, { headers }).withResponse();
  const { text, output } = stream
    ? await gather(data, leaving(data, leaveAfter))
    : { text: data.output_text, output: data.output };
  const calls = output
    .filter(({ type }) => type === 'function_call')
    .map((call) => ({ id: call.call_id, city: JSON.parse(call.arguments).city }));
  return { text, response, calls, turns: output };
};

const gather = async (events, receive) => {
  let text = '';
  let output = [];
  for await (const event of events) {
    if (event.type === 'response.output_text.delta') text = receive(event.delta);
    if (event.type === 'response.completed') output = event.response.output;
  }
  return { text, output };
};

const result = ({ id }, output) => ({ type: 'function_call_output', call_id: id, output });

await run({ ask, result });
