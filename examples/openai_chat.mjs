// Chat completions with memory, and the response headers. See README.md for the environment.

import OpenAI from 'openai';

const env = process.env;

const client = new OpenAI({
  baseURL: `${env.RECALLR_URL ?? 'http://127.0.0.1:4000'}/v1`,
  apiKey: env.LITELLM_MASTER_KEY,
  defaultHeaders: {
    'X-Recallr-API-Key': env.RECALLR_API_KEY,
    'X-Recallr-Project-Id': env.RECALLR_PROJECT_ID ?? 'default',
    'X-Recallr-Allow-New-User-Creation': 'true',
    'X-Recallr-Session-Timeout-Seconds': '600',
  },
});

const { data, response } = await client.chat.completions
  .create(
    {
      model: env.MODEL ?? 'recallr-demo',
      messages: [
        { role: 'system', content: 'You are a helpful assistant.' },
        { role: 'user', content: 'My name is Alice and I love Python programming.' },
      ],
    },
    { headers: { 'X-Recallr-User-Id': 'alice-123', 'X-Recallr-Recall-Strategy': 'low_latency' } },
  )
  .withResponse();

console.log(data.choices[0].message.content);
for (const name of ['Session-Id', 'User-Id', 'Request-Id', 'Process-Time', 'Memory-Status']) {
  console.log(`X-Recallr-${name}: ${response.headers.get(`X-Recallr-${name}`)}`);
}
