// Makes the requests that the test hands over and tells what the SDK makes of each, as JSON.
//
// Argument: {baseURL, apiKey, requests: [{model, turns, stream, tools, headers, leaveAfter}]}
// Output:   [{text, headers: [of each response]} or {error, status, message, headers}]

import OpenAI from 'openai';

const { baseURL, apiKey, requests } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

/** What an API's `ask` reports to while a stream comes in: the client leaves once it has this text. */
const leaving = (stream, after) => {
  let received = '';
  return (piece) => {
    received += piece;
    if (received === after) stream.controller.abort();
    return received;
  };
};

/** A whole turn: while the model calls tools, their results are sent. */
const turn = async (api, request) => {
  const turns = [...request.turns];
  const headers = [];
  for (;;) {
    const answered = await api.ask(client, { ...request, turns }, leaving);
    headers.push(Object.fromEntries(answered.response.headers));
    if (answered.calls.length === 0) return { text: answered.text, headers };
    turns.push(...answered.turns, ...answered.calls.map((call) => api.result(call, `rain in ${call.city}`)));
  }
};

export const run = async (api) => {
  const told = [];
  for (const request of requests) {
    try {
      told.push(await turn(api, request));
    } catch (error) {
      if (!(error instanceof OpenAI.APIError)) throw error;
      const { status, message } = error;
      const headers = [Object.fromEntries(error.headers ?? [])];
      told.push({ error: error.constructor.name, status, message, headers });
    }
  }
  console.log(JSON.stringify(told));
};
