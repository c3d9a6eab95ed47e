// Chat completions.

import { run } from './run.mjs';

const parameters = { type: 'object', properties: { city: { type: 'string' } } };

const ask = async (client, { model, turns, stream, tools, headers, leaveAfter }, leaving) => {
  const body = { model, messages: turns, stream };
  if (tools) body.tools = [{ type: 'function', function: { name: 'weather', parameters } }];
  const { data, response } = await client.chat.completions.create(body, { headers }).withResponse();
  const message = stream ? await gather(data, leaving(data, leaveAfter)) : data.choices[0].message;
  const calls = (message.tool_calls ?? []).map(({ id, function: { arguments: given } }) => ({
    id,
    city: JSON.parse(given).city,
  }));
  return { text: message.content, response, calls, turns: [message] };
};

const gather = async (chunks, receive) => {
  const message = { role: 'assistant', content: null };
  for await (const { choices } of chunks) {
    const delta = choices[0]?.delta ?? {};
    if (delta.content) message.content = receive(delta.content);
    for (const { index, id, function: { name, arguments: given } } of delta.tool_calls ?? []) {
      message.tool_calls ??= [];
      message.tool_calls[index] ??= { id, type: 'function', function: { name, arguments: '' } };
      message.tool_calls[index].function.arguments += given ?? '';
    }
  }
  return message;
};

const result = ({ id }, content) => ({ role: 'tool', tool_call_id: id, content });

await run({ ask, result });
