/* The bytes of answers: events in chunked framing, whole JSON, small pages. */
#pragma once
#include <stdio.h>

#include "connection.h"

enum { ANSWER_LONGEST = 4096 };

#define COMMON "\"id\":\"cmpl-truth\",\"created\":1700000000,\"model\":\"truth\","
#define COMPLETION COMMON "\"object\":\"text_completion\","
#define CHAT COMMON "\"object\":\"chat.completion.chunk\","

static size_t head_of_stream(char *to) {
  static const char head[] =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
      "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
  memcpy(to, head, sizeof head - 1);
  return sizeof head - 1;
}

static size_t event(char *to, const char *json) {
  size_t length = strlen(json) + 8; /* "data: " and a blank line */
  return sprintf(to, "%zx\r\ndata: %s\n\n\r\n", length, json);
}

static size_t fixed(char *to, const char *event_text, size_t length) {
  memcpy(to, event_text, length);
  return length;
}

/* Made once for each kind: a token costs a copy. */
static size_t token_event(const Connection *c, char *to) {
  static const char *const json[] = {
      "{" COMPLETION "\"choices\":[{\"index\":0,\"text\":\" word\",\"logprobs\":null,\"finish_reason\":null}]}",
      "{" CHAT "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]}",
      "{" CHAT "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\" word\"},\"logprobs\":null,"
      "\"finish_reason\":null}]}"};
  static char made[3][512];
  static size_t lengths[3];
  int kind = c->request.chat + (c->request.chat && c->sent == 0);
  if (!lengths[kind]) lengths[kind] = event(made[kind], json[kind]);
  return fixed(to, made[kind], lengths[kind]);
}

static size_t usage_of(const Connection *c, char *to) {
  int in = c->request.prompt_tokens, out = c->sent;
  return sprintf(to, "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}", in, out, in + out);
}

/* After the last token: the reason, the usage in an event of its own where it was asked for, [DONE], the end.
 * Called before that token is counted. */
static size_t end_of_stream(Connection *c, char *to) {
  char json[512], usage[160];
  const char *kind = c->request.chat ? CHAT : COMPLETION;
  const char *empty = c->request.chat ? "\"delta\":{}" : "\"text\":\"\"";
  snprintf(json, sizeof json, "{%s\"choices\":[{\"index\":0,%s,\"logprobs\":null,\"finish_reason\":\"length\"}]}", kind, empty);
  size_t length = event(to, json);
  if (c->request.usage) {
    c->sent++;
    usage_of(c, usage);
    c->sent--;
    snprintf(json, sizeof json, "{%s\"choices\":[],%s}", kind, usage);
    length += event(to + length, json);
  }
  return length + sprintf(to + length, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

static size_t page(char *to, int status, const char *body) {
  const char *reason = status == 200 ? "OK" : status == 404 ? "Not Found" : "Service Unavailable";
  const char *type = *body == '{' ? "application/json" : "text/plain";
  return sprintf(to, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", status, reason, type,
                 strlen(body), body);
}

static size_t whole_answer(const Connection *c, char *to) {
  char body[1024];
  const char *choice = c->request.chat ? "\"message\":{\"role\":\"assistant\",\"content\":\" word\"}" : "\"text\":\" word\"";
  snprintf(body, sizeof body,
           "{" COMMON "\"object\":\"%s\",\"choices\":[{\"index\":0,%s,\"finish_reason\":\"length\"}],"
           "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}",
           c->request.chat ? "chat.completion" : "text_completion", choice, c->request.prompt_tokens,
           c->request.tokens, c->request.prompt_tokens + c->request.tokens);
  return page(to, 200, body);
}
