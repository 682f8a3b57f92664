/* One kept connection and the request that it carries; growing byte buffers. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { char *bytes; size_t length, room; } Buffer;

typedef struct {
  char path[64];
  int completion, chat, stream, usage; /* a POST for tokens; which API; streamed; usage asked for */
  int prompt_tokens, tokens;           /* words of the prompt; 0 tokens: not said */
  int64_t first_us, gap_us;            /* -1: the server's */
  uint64_t id;
} Request;

typedef enum { IDLE, WAITING, SERVING, WAITING_NOWHERE } State;

typedef struct Connection {
  int fd, heap_at; /* place in the schedule, -1 for none */
  State state;
  Buffer in, out;
  Request request;
  int64_t received, started, due, first_ns, gap_ns;
  int64_t *times; /* when each token was sent */
  int sent, room;
  struct Connection *before, *after; /* in the queue */
} Connection;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static char *buffer_room(Buffer *b, size_t more) {
  if (b->length + more + 1 > b->room) {
    b->room = 2 * (b->length + more + 1);
    b->bytes = realloc(b->bytes, b->room);
  }
  return b->bytes + b->length;
}

static void buffer_add(Buffer *b, const char *bytes, size_t length) {
  memcpy(buffer_room(b, length), bytes, length);
  b->length += length;
}

static void buffer_drop(Buffer *b, size_t length) {
  b->length -= length;
  memmove(b->bytes, b->bytes + length, b->length);
}

static Connection *connection_new(int fd) {
  Connection *c = calloc(1, sizeof *c);
  c->fd = fd;
  c->heap_at = -1;
  return c;
}

static void connection_begin(Connection *c, int64_t received) {
  c->received = c->started = received;
  c->sent = 0;
}

static void connection_free(Connection *c) {
  free(c->in.bytes);
  free(c->out.bytes);
  free(c->times);
  free(c);
}

static void log_time(Connection *c, int64_t at) {
  if (c->sent == c->room) {
    c->room = c->room ? 2 * c->room : 128;
    c->times = realloc(c->times, c->room * sizeof *c->times);
  }
  c->times[c->sent++] = at;
}
