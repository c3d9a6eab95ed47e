// A streamed chat completion with memory. See README.md for the environment.

import OpenAI from 'openai';

const env = process.env;

const client = new OpenAI({
  baseURL: `${env.RECALLR_URL ?? 'http://127.0.0.1:4000'}/v1`,
  apiKey: env.LITELLM_MASTER_KEY,
  defaultHeaders: {
    'X-Recallr-API-Key': env.RECALLR_API_KEY,
    'X-Recallr-Project-Id': env.RECALLR_PROJECT_ID ?? 'default',
    'X-Recallr-Allow-New-User-Creation': 'true',
  },
});

const stream = await client.chat.completions.create(
  {
    model: env.MODEL ?? 'recallr-demo',
    messages: [{ role: 'user', content: 'What do you know about me and my interests?' }],
    stream: true,
  },
  { headers: { 'X-Recallr-User-Id': 'alice-123' } },
);

for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
}
process.stdout.write('\n');
