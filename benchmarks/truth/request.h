/* Reads one HTTP request; of the JSON only the few fields that matter here, by their keys. */
#pragma once
#include <ctype.h>
#include <stdio.h>

#include "connection.h"

static const char *find(const char *in, const char *end, const char *what) {
  return memmem(in, end - in, what, strlen(what));
}

/* What follows a key of the body and its colon; NULL where the key is missing. */
static const char *field(const char *body, const char *end, const char *key) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\"", key);
  for (const char *at = body; (at = find(at, end, quoted));) {
    at += strlen(quoted);
    while (at < end && isspace((unsigned char)*at)) at++;
    if (at < end && *at == ':') {
      do at++; while (at < end && isspace((unsigned char)*at));
      return at;
    }
  }
  return NULL;
}

static long number(const char *body, const char *end, const char *key, long otherwise) {
  const char *at = field(body, end, key);
  return at && isdigit((unsigned char)*at) ? strtol(at, NULL, 10) : otherwise;
}

static int is_true(const char *body, const char *end, const char *key) {
  const char *at = field(body, end, key);
  return at && *at == 't';
}

static int words(const char *string, const char *end) { /* from the opening quote to the closing one */
  int count = 0, inside = 0;
  for (const char *at = string + 1; at < end && *at != '"'; at++) {
    if (*at == '\\' && at + 1 < end) at++;
    int letter = !isspace((unsigned char)*at);
    count += letter && !inside;
    inside = letter;
  }
  return count;
}

static int prompt_tokens(const char *body, const char *end, int chat) {
  int count = 0;
  const char *at = body;
  while ((at = field(at, end, chat ? "content" : "prompt"))) {
    if (*at == '"') count += words(at, end);
    else if (*at == '[' && chat) {
      const char *text = field(at, end, "text");
      if (text && *text == '"') count += words(text, end);
    } else if (*at == '[') for (; at < end && *at != ']'; at++) count += *at == ','; /* token ids */
  }
  return count;
}

static uint64_t fnv1a(const char *at, const char *end) {
  uint64_t hash = 0xcbf29ce484222325u;
  while (at < end) hash = (hash ^ (unsigned char)*at++) * 0x100000001b3u;
  return hash;
}

static const char *header(const char *head, const char *end, const char *name) {
  size_t length = strlen(name);
  for (const char *line = head; (line = find(line, end, "\r\n")) && line + 2 + length < end;) {
    line += 2;
    if (!strncasecmp(line, name, length) && line[length] == ':') {
      for (line += length + 1; line < end && *line == ' ';) line++;
      return line;
    }
  }
  return NULL;
}

static int64_t from_query(const char *line, const char *end, const char *key) {
  const char *at = find(line, end, key);
  return at && (at[-1] == '?' || at[-1] == '&') ? strtol(at + strlen(key), NULL, 10) : -1;
}

/* The length of the whole request at the buffer's start, read into `r`; 0 while it is not all there. */
static size_t request_read(Buffer *in, Request *r) {
  if (!in->length) return 0;
  const char *start = in->bytes, *stop = start + in->length;
  in->bytes[in->length] = 0;
  const char *head_end = find(start, stop, "\r\n\r\n");
  if (!head_end) return 0;
  const char *body = head_end + 4, *length = header(start, body, "content-length");
  const char *end = body + (length ? strtol(length, NULL, 10) : 0);
  if (end > stop) return 0;
  const char *line_end = find(start, stop, "\r\n");
  *r = (Request){.first_us = from_query(start, line_end, "first_us="), .gap_us = from_query(start, line_end, "gap_us=")};
  const char *path = memchr(start, ' ', line_end - start);
  if (path) sscanf(path, " %63s", r->path);
  r->chat = strstr(r->path, "chat/completions") != NULL;
  r->completion = *start == 'P' && (r->chat || strstr(r->path, "/completions") != NULL);
  if (!r->completion) return end - start;
  int64_t asked = from_query(start, line_end, "tokens=");
  long of_body = number(body, end, "max_tokens", number(body, end, "max_completion_tokens", 0));
  r->tokens = asked > 0 ? asked : of_body;
  r->stream = is_true(body, end, "stream");
  r->usage = is_true(body, end, "include_usage");
  r->prompt_tokens = prompt_tokens(body, end, r->chat);
  const char *id = header(start, body, "x-request-id");
  char *id_end = NULL;
  if (id) r->id = strtoull(id, &id_end, 10);
  if (!id || id_end == id || *id_end != '\r') r->id = fnv1a(body, end);
  return end - start;
}
